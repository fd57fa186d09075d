from typing import Any

import pytest
from pydantic import ValidationError

from signalbox.criticality.settings import CriticalityRule, CriticalitySettings, is_signal


def test_names_of_signals() -> None:
    assert all(map(is_signal, ("default", "line-3", "a.b_c", "0")))
    assert not any(map(is_signal, ("", "history", "stream", "A", "-a", "a b", "a" * 65, "ä")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"lowest": 5, "highest": 5},
        {"alarm_level": 6},
        {"rules": [{"topic": "a.b", "level": 9}]},
        {"rules": [{"topic": "A", "level": 3}]},
        {"rules": [{"topic": "a.b", "level": 3, "signal": "history"}]},
        {"rules": [{"topic": "a.b", "level": 3, "hold": "31d"}]},
        {"shared_tokens": ["short"]},
        {"levels": 3},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        CriticalitySettings.model_validate(wrong)
    assert "short" not in str(error.value)


def test_a_rule_needs_no_more_than_topic_and_level() -> None:
    rule = CriticalityRule(topic="grid.*", level=4)
    assert (rule.signal, rule.hold) == ("default", "10m")
