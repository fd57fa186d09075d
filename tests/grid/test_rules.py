"""What can be done with threshold rules."""

import pytest
import sqlalchemy as sa

from signalbox.auth import audit
from signalbox.auth.audit import AuditFilter
from signalbox.core.errors import InvalidError, UnprocessableError
from signalbox.grid import rules
from signalbox.grid.errors import RuleExistsError, RuleNotFoundError, TooManyKeptError
from signalbox.grid.rules import parse_condition
from signalbox.infra.events import find_events
from tests.grid.test_intake import NOW, lines
from tests.grid.test_rule_store import ABOVE, add
from tests.grid.test_rule_watch import DOWN, UP, measure, told


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("POWER > 55", {"measurement_type": "POWER", "comparison": ">", "bound": "55"}),
        ("voltage<-1.5e3", {"measurement_type": "VOLTAGE", "comparison": "<", "bound": "-1.5e3"}),
        (
            " POWER > 55 for 3 readings ",
            {"measurement_type": "POWER", "comparison": ">", "bound": "55", "readings": "3"},
        ),
        ("POWER > 55 for 1 reading", {"measurement_type": "POWER", "comparison": ">", "bound": "55", "readings": "1"}),
    ],
)
def test_conditions_are_read_as_they_are_shown(text: str, fields: dict[str, str]) -> None:
    assert parse_condition(text) == fields


@pytest.mark.parametrize("text", ["", "POWER", "POWER >= 5", "POWER > x", "POWER > 5 for readings", "P > 5 for 3 days"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="is no condition"):
        parse_condition(text)


def test_a_rule_shows_its_condition_and_how_many_are_raised(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        number = add(tx, ABOVE.model_copy(update={"readings": 2, "component_type": "LINE"}))
        shown = rules.show(tx, number)
        assert (shown.condition, shown.clear, shown.raised) == ("POWER > 55 for 2 readings", 50, 0)
        measure(tx, made[0], 60, 61)
        assert rules.show(tx, number).raised == 1
        assert [each.raised for each in rules.list_rules(tx, limit=5).items] == [1]
        (crossing,) = rules.list_crossings(tx, rule=number, component=made[0], limit=5)
        assert (crossing.component_id, crossing.value) == (made[0], 61)
        assert rules.list_crossings(tx, component=made[1], limit=5) == []


def test_a_rule_that_is_changed_begins_anew(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        number = add(tx, ABOVE)
        measure(tx, made[0], 60)
        after = rules.change(tx, number, {"bound": 58, "clear": None}, by="user:eve", now=NOW + 1)
        assert (after.bound, after.clear, after.raised) == (58, 58, 0)
        assert told(tx) == [(UP, 60), (DOWN, 60)]
        assert find_events(tx, topic="grid.threshold_cleared", limit=1)[0].data["reason"] == "the rule was changed"
        measure(tx, made[0], 61, start=5)
        assert told(tx)[2:] == [(UP, 61)]
        rules.delete(tx, number, by="user:eve", now=NOW + 2)
        assert told(tx)[3:] == [(DOWN, 61)]
        entries = audit.list_entries(tx, wanted=AuditFilter(target=f"threshold_rule:{number}"), limit=5)
        assert [(each.action.rpartition(".")[2], each.actor) for each in entries] == [
            ("delete", "user:eve"),
            ("change", "user:eve"),
            ("create", "test"),
        ]


def test_what_is_wrong_is_refused(engine: sa.Engine) -> None:
    with lines(engine) as (tx, _):
        number = add(tx, ABOVE)
        for wrong in ({"component_id": 99}, {"component_type": "PLANET"}):
            with pytest.raises(UnprocessableError, match=next(iter(wrong))):
                add(tx, ABOVE.model_copy(update={"name": "b", **wrong}))
        with pytest.raises(TooManyKeptError, match="max_rules"):
            rules.add(tx, ABOVE, limit=1, by="test", now=NOW)
        rules.delete(tx, number, by="test", now=NOW)
        with pytest.raises(RuleNotFoundError):
            rules.show(tx, number)
        with pytest.raises(RuleNotFoundError):
            rules.delete(tx, number, by="test", now=NOW)


def test_two_rules_have_two_names(engine: sa.Engine) -> None:
    with lines(engine) as (tx, _):
        add(tx, ABOVE)
        with pytest.raises(RuleExistsError):
            add(tx, ABOVE)
    with lines(engine) as (tx, _):
        add(tx, ABOVE)
        other = add(tx, ABOVE.model_copy(update={"name": "b"}))
        with pytest.raises(RuleExistsError):
            rules.change(tx, other, {"name": "above"}, by="test", now=NOW)
