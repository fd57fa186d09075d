"""Changing some fields of a thing."""

import pytest

from signalbox.core.errors import UnprocessableError
from signalbox.grid.changes import merge
from signalbox.grid.schemas import ScheduleIn, ThresholdRuleIn


def test_given_fields_replace_others_stay_and_null_is_the_default() -> None:
    current = ScheduleIn(name="a", every="day", timezone="Europe/Berlin", delay_minutes=5)
    changed = merge(current, {"every": "week", "timezone": None})
    assert changed == ScheduleIn(name="a", every="week", timezone="UTC", delay_minutes=5)


@pytest.mark.parametrize(
    ("given", "where"),
    [({"every": "year"}, "every"), ({"other": 1}, "other"), ({"name": None}, "name"), ({"delay_minutes": -1}, "delay")],
)
def test_what_comes_out_is_checked(given: dict[str, object], where: str) -> None:
    with pytest.raises(UnprocessableError, match=where):
        merge(ScheduleIn(name="a", every="day"), given)


def test_fields_are_checked_together() -> None:
    rule = ThresholdRuleIn(name="a", measurement_type="POWER", comparison=">", bound=55, clear=50)
    assert merge(rule, {"bound": 52}).clear == 50
    with pytest.raises(UnprocessableError, match="wrong side"):
        merge(rule, {"bound": 49})
