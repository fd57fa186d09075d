"""What comes over the wire is checked."""

import pytest
from pydantic import ValidationError

from signalbox.grid.schemas import ScheduleIn, ThresholdRuleIn
from tests.grid.test_rule_store import ABOVE, BELOW


@pytest.mark.parametrize(
    "wrong",
    [
        {"clear": 56},
        {"comparison": "<"},
        {"comparison": ">="},
        {"bound": "nan"},
        {"bound": 1e101},
        {"readings": 0},
        {"readings": 101},
        {"component_id": 1, "component_type": "LINE"},
        {"severity": "fatal"},
        {"name": " "},
    ],
)
def test_rules_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ThresholdRuleIn.model_validate({**ABOVE.model_dump(), **wrong})


@pytest.mark.parametrize(("rule", "clear"), [(ABOVE, 55), (ABOVE, -1e9), (BELOW, 10), (BELOW, 1e9), (ABOVE, None)])
def test_a_rule_is_well_again_at_its_bound_or_on_its_good_side(rule: ThresholdRuleIn, clear: float | None) -> None:
    assert ThresholdRuleIn.model_validate({**rule.model_dump(), "clear": clear}).clear == clear


def test_a_schedule_leaves_room_for_the_period_in_the_name_of_its_reports() -> None:
    assert ScheduleIn(name="n" * 80, every="month").timezone == "UTC"
    with pytest.raises(ValidationError):
        ScheduleIn(name="n" * 81, every="month")
