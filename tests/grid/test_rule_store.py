"""Queries about threshold rules."""

import pytest
import sqlalchemy as sa

from signalbox.grid import folding, intake, rule_store, rules
from signalbox.grid.rule_store import StateRow, Watched
from signalbox.grid.schemas import ThresholdRuleIn
from signalbox.grid.series import to_series
from tests.grid.test_intake import NOW, key, lines, reading

ABOVE = ThresholdRuleIn(name="above", measurement_type="POWER", comparison=">", bound=55, clear=50)
BELOW = ThresholdRuleIn(name="below", measurement_type="POWER", comparison="<", bound=10, clear=20)


def add(tx: sa.Connection, rule: ThresholdRuleIn) -> int:
    return rules.add(tx, rule, limit=9, by="test", now=NOW).id


def put(tx: sa.Connection, rule: int, component: int, *, raised: bool) -> None:
    rule_store.put_state(tx, StateRow(rule, component, raised, 1, 60.0, 1))


@pytest.mark.parametrize(
    ("rule", "raised", "values"),
    [
        (ABOVE, False, {55.1: True, 55: False, 50: False}),
        (ABOVE, True, {55.1: False, 50.1: False, 50: True}),
        (BELOW, False, {9.9: True, 10: False, 20: False}),
        (BELOW, True, {9.9: False, 19.9: False, 20: True}),
    ],
)
def test_readings_concern_whom_they_may_turn(
    engine: sa.Engine, rule: ThresholdRuleIn, raised: bool, values: dict[float, bool]
) -> None:
    with lines(engine) as (tx, made):
        number = add(tx, rule)
        if raised:
            put(tx, number, made[0], raised=True)
        put(tx, number, made[1], raised=not raised)
        assert {value: rule_store.concerns(tx, made[0], "POWER", value) for value in values} == values


@pytest.mark.parametrize(
    ("scope", "concerned"),
    [({}, True), ({"component_type": "LINE"}, True), ({"component_type": "SWITCH"}, False)],
)
def test_only_rules_for_the_component_count(engine: sa.Engine, scope: dict[str, str], concerned: bool) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE.model_copy(update=scope))
        assert rule_store.concerns(tx, made[0], "POWER", 60.0) is concerned
        assert not rule_store.concerns(tx, made[0], "VOLTAGE", 60.0)


def test_a_rule_for_one_component_is_for_no_other(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE.model_copy(update={"component_id": made[1]}))
        assert [rule_store.concerns(tx, each, "POWER", 60.0) for each in made] == [False, True]


def test_states_are_replaced_counted_and_forgotten(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        number = add(tx, ABOVE)
        for component in made:
            put(tx, number, component, raised=False)
            put(tx, number, component, raised=True)
        assert rule_store.count_raised(tx, [number, number + 1]) == {number: 2}
        assert rule_store.count_raised(tx, []) == {}
        assert [each.component_id for each in rule_store.find_raised(tx, limit=1)] == made[:1]
        assert rule_store.find_states(tx, made[:1]).keys() == {(number, made[0])}
        assert [each.component_id for each in rule_store.find_raised(tx, rule_id=number)] == made
        rule_store.delete_states(tx, component_id=made[0])
        assert [each.component_id for each in rule_store.find_raised(tx)] == made[1:]
        rule_store.delete_rule(tx, number)
        assert rule_store.find_raised(tx) == []


def test_readings_are_found_in_tail_and_chunks(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        series = to_series(made[0], "POWER")
        assert rule_store.find_newest(tx, series) is None
        rows = [reading(made[0], minute * 700, float(minute)) for minute in range(10)]  # over five days
        intake.accept_many(tx, [*rows[:4], *rows[5:8]], now=NOW)
        for row in (rows[4], *rows[8:]):
            intake.accept(tx, row, now=NOW)
        times = [key(row)[1] for row in rows]
        assert rule_store.find_newest(tx, series) == times[9]
        found = [
            rule_store.find_newest(tx, series, until=times[place] + more) for place in (2, 4, 7) for more in (-1, 0)
        ]
        assert found == [times[place] for place in (1, 2, 3, 4, 6, 7)]
        assert rule_store.find_newest(tx, series, until=times[0] - 1) is None
        assert rule_store.read_after(tx, series, times[6], until=times[9]).value.tolist() == [7.0, 8.0, 9.0]
        assert rule_store.read_after(tx, series, times[6], until=times[9] - 1).value.tolist() == [7.0, 8.0]
        assert rule_store.read_last(tx, series, times[8], count=4).value.tolist() == [5.0, 6.0, 7.0, 8.0]
        assert rule_store.read_last(tx, series, times[5], count=3).value.tolist() == [3.0, 4.0, 5.0]
        assert rule_store.read_last(tx, series, times[1], count=5).value.tolist() == [0.0, 1.0]
        assert len(rule_store.read_last(tx, series, times[1], count=0).at) == 0
        folding.fold_tail(tx, now=NOW)
        assert rule_store.find_newest(tx, series) == times[9]


def test_series_are_taken_once_from_the_earliest_moment_on(engine: sa.Engine) -> None:
    with lines(engine) as (tx, _):
        rule_store.add_watched(tx, [Watched(9, 30), Watched(8, 20), Watched(10, 5)])
        rule_store.add_watched(tx, [Watched(8, 25), Watched(9, 10)])
        assert rule_store.take_watched(tx, limit=2) == [(9, 10), (8, 20)]
        assert rule_store.take_watched(tx, limit=2) == [(10, 5)]
        assert rule_store.take_watched(tx, limit=2) == []
