import pytest
from pydantic import ValidationError

from signalbox.core.rates import Rate
from signalbox.core.times import MINUTE
from signalbox.notifications.channel_settings import DeliverySettings


def test_a_rate_is_kept_within_what_is_remembered() -> None:
    assert DeliverySettings(kind="x", name="a", rate=Rate(1_000, MINUTE)).rate == Rate(1_000, MINUTE)
    with pytest.raises(ValidationError, match="at most 1000"):
        DeliverySettings(kind="x", name="a", rate=Rate(1_001, MINUTE))


@pytest.mark.parametrize("wrong", [{"retries": ["x"]}, {"max_age": "0s"}, {"concurrency": 0}, {"timeout": 0}])
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DeliverySettings.model_validate({"kind": "x", "name": "a", **wrong})
