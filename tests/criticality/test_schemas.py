import pytest
from pydantic import ValidationError

from signalbox.criticality.schemas import NewConsumer


def test_an_interval_is_a_span_or_none() -> None:
    assert [NewConsumer(app="a", interval=text).interval for text in ("1s", "5m", "none", None)] == [
        "1s",
        "5m",
        "none",
        None,
    ]
    for wrong in ("0s", "5", "-1m", "1w"):
        with pytest.raises(ValidationError):
            NewConsumer(app="a", interval=wrong)
