"""Holding readings against threshold rules, and telling of each crossing once.

Whoever takes readings in looks first whether they may change how their component stands (``look_at``, ``look_at_many``:
before they are written), and if so notes their series and has a job look closer (``watch``: in the same transaction).
The job takes what is noted, and reads from the database what is newer than what was there before the first of it; so it
does not matter in which order readings or jobs come. It owns the readings meanwhile as whoever rewrites chunks does:
what is being written is either seen by it, or sees what it did.

A reading that is older than the newest of its series raises nothing and clears nothing: what it tells is over. It
counts among those before a later one.

Readings from the future are of a wrong clock, and would let all that come until then look old: those more than ``AHEAD``
ahead of the hub's clock are kept, and neither looked at nor looked back from until their time has come.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import Connection

from signalbox.core.times import MINUTE, to_rfc3339
from signalbox.grid import chunk_store, rule_store
from signalbox.grid.merging import Marks, Readings
from signalbox.grid.rule_store import ComponentName, RuleRow, StateRow, Watched
from signalbox.grid.series import CODES, WIDTH, component_of, type_of
from signalbox.infra.events import Event, publish
from signalbox.infra.jobs import enqueue

KIND: Final = "grid.watch"

RAISED: Final = "grid.threshold"
CLEARED: Final = "grid.threshold_cleared"

MOST_TOLD: Final = 20
"""Crossings of one component and rule that are told of at once, the last ones, as where old readings come in bulk."""

AT_ONCE: Final = 16
"""Series in one transaction, during which nobody else changes readings."""

AHEAD: Final = 5 * MINUTE
"""How far clocks of meters may be ahead of the hub's."""

_BEGINNING: Final = -(2**62)


class Turn(NamedTuple):
    """A reading at which a component crossed the bound, or was well again."""

    raised: bool
    at: int
    value: float


def look_at(tx: Connection, series: int, at: int, value: float, *, now: int) -> list[Watched]:
    """What is to be watched for a reading that is about to be written: its series, or nothing."""
    until = now + AHEAD
    if at > until or not rule_store.concerns(tx, component_of(series), type_of(series), value):
        return []
    newest = rule_store.find_newest(tx, series, until=until)
    if newest is not None and newest > at:
        return []
    return [Watched(series, _BEGINNING if newest is None else newest)]


def look_at_many(tx: Connection, new: Readings, *, now: int) -> list[Watched]:
    """What is to be watched for readings that are about to be written."""
    until = now + AHEAD
    rules = rule_store.find_rules(tx)
    if not rules or not len(new.at):
        return []
    raised: dict[int, list[int]] = {}
    for state in rule_store.find_raised(tx):
        raised.setdefault(state.rule_id, []).append(state.component_id)
    matters = np.zeros(len(new.at), dtype=np.bool_)
    for rule in rules:
        matters |= _matters(tx, rule, new, raised.get(rule.id, []))
    matters &= new.at <= until
    series, place = np.unique(new.series[matters], return_inverse=True)
    latest = np.full(len(series), _BEGINNING)
    np.maximum.at(latest, place, new.at[matters])
    found = []
    for each, at in zip(series.tolist(), latest.tolist(), strict=True):
        newest = rule_store.find_newest(tx, each, until=until)
        if newest is None or newest < at:
            found.append(Watched(each, _BEGINNING if newest is None else newest))
    return found


def watch(tx: Connection, watched: Sequence[Watched], *, now: int) -> None:
    """Have a job look at what has come, once ``tx`` is committed."""
    if watched:
        rule_store.add_watched(tx, watched)
        enqueue(tx, KIND, {}, now=now)


def follow(tx: Connection, *, now: int) -> bool:
    """Hold new readings of some series against all rules, keep how their components stand, tell of those that turned.

    False where there was nothing to look at.
    """
    chunk_store.own(tx)  # before taking: nobody notes a series between
    watched = rule_store.take_watched(tx, limit=AT_ONCE)
    numbers = {component_of(each.series) for each in watched}
    rules, names = rule_store.find_rules(tx), rule_store.find_names(tx, numbers)
    states = rule_store.find_states(tx, numbers)
    for each in watched:
        number = component_of(each.series)
        fitting = [rule for rule in rules if number in names and _fits(rule, each.series, names[number])]
        for rule, turns, seen_until in _turns(tx, each, fitting, states, until=now + AHEAD):
            last = turns[-1]
            state = StateRow(rule.id, number, last.raised, last.at, last.value, seen_until)
            states[rule.id, number] = state
            rule_store.put_state(tx, state)
            for turn in turns[-MOST_TOLD:]:
                _tell(tx, rule, names[number], turn, now=now)
    return bool(watched)


def settle(tx: Connection, states: Sequence[StateRow], *, why: str, now: int) -> None:
    """Tell that components are not held against a rule any more, where they were raised; then forget them."""
    names = rule_store.find_names(tx, {state.component_id for state in states})
    for state in states:
        rule = rule_store.find_rule(tx, state.rule_id)
        if rule is not None and state.component_id in names:
            _tell(
                tx,
                rule,
                names[state.component_id],
                Turn(raised=False, at=state.changed_at, value=state.value),
                now=now,
                why=why,
            )
    for state in states:
        rule_store.delete_states(tx, rule_id=state.rule_id, component_id=state.component_id)


def settle_component(tx: Connection, number: int, component_type: str | None, *, why: str, now: int) -> None:
    """A component has become one of another type, or None where it goes: rules that were for the old one let go."""
    rules = {rule.id: rule for rule in rule_store.find_rules(tx)}
    raised = rule_store.find_raised(tx, component_id=number)
    gone = [state for state in raised if component_type is None or _leaves(rules.get(state.rule_id), component_type)]
    settle(tx, gone, why=why, now=now)
    if component_type is None:
        rule_store.delete_states(tx, component_id=number)


def describe(rule: RuleRow) -> str:
    """``POWER > 55 for 3 readings``."""
    said = f"{rule.measurement_type} {rule.comparison} {rule.bound:g}"
    return said if rule.readings == 1 else f"{said} for {rule.readings} readings"


def walk(rule: RuleRow, values: Sequence[tuple[int, float]], *, before: Sequence[float], raised: bool) -> list[Turn]:
    """Where a component turns in the course of readings (time and value); ``before`` are values of those before."""
    streak, turns = 0, []
    for value in before:
        streak = streak + 1 if _is_wrong(rule, value) else 0
    for at, value in values:
        streak = streak + 1 if _is_wrong(rule, value) else 0
        if (not raised and streak >= rule.readings) or (raised and _is_well(rule, value)):
            raised = not raised
            turns.append(Turn(raised, at, value))
    return turns


def _turns(
    tx: Connection,
    watched: Watched,
    rules: Sequence[RuleRow],
    states: dict[tuple[int, int], StateRow],
    *,
    until: int,
) -> Iterator[tuple[RuleRow, list[Turn], int]]:
    """Of each rule by which the component turned: how, and the time of the newest reading that was looked at."""
    if not rules:
        return
    fresh = rule_store.read_after(tx, watched.series, watched.after, until=until)
    if not len(fresh.at):
        return
    count = max(rule.readings for rule in rules) - 1
    earlier = rule_store.read_last(tx, watched.series, watched.after, count=count)
    at, value = [*earlier.at.tolist(), *fresh.at.tolist()], [*earlier.value.tolist(), *fresh.value.tolist()]
    for rule in rules:
        state = states.get((rule.id, component_of(watched.series)))
        after = watched.after
        if state is not None and state.seen_until <= until:  # else the hub's clock was ahead then
            after = max(after, state.seen_until)
        first = int(np.searchsorted(at, after, side="right"))
        course = list(zip(at[first:], value[first:], strict=True))
        before = value[max(0, first - rule.readings + 1) : first]
        turns = walk(rule, course, before=before, raised=state is not None and state.raised)
        if turns:
            yield rule, turns, at[-1]


def _matters(tx: Connection, rule: RuleRow, new: Readings, raised: list[int]) -> Marks:
    number = new.series // WIDTH
    above = rule.comparison == ">"
    wrong = new.value > rule.bound if above else new.value < rule.bound
    well = new.value <= rule.clear if above else new.value >= rule.clear
    marks: Marks = np.where(np.isin(number, raised), well, wrong)
    marks &= new.series % WIDTH == CODES[rule.measurement_type]
    if rule.component_id is not None:
        marks &= number == rule.component_id
    if rule.component_type is not None and marks.any():
        names = rule_store.find_names(tx, np.unique(number[marks]).tolist())
        marks &= np.isin(number, [each.id for each in names.values() if each.component_type == rule.component_type])
    return marks


def _is_wrong(rule: RuleRow, value: float) -> bool:
    return value > rule.bound if rule.comparison == ">" else value < rule.bound


def _is_well(rule: RuleRow, value: float) -> bool:
    return value <= rule.clear if rule.comparison == ">" else value >= rule.clear


def _fits(rule: RuleRow, series: int, component: ComponentName) -> bool:
    if type_of(series) != rule.measurement_type:
        return False
    return rule.component_id in (None, component.id) and rule.component_type in (None, component.component_type)


def _leaves(rule: RuleRow | None, component_type: str) -> bool:
    return rule is None or rule.component_type not in (None, component_type)


def _tell(
    tx: Connection, rule: RuleRow, component: ComponentName, turn: Turn, *, now: int, why: str | None = None
) -> None:
    data: dict[str, Any] = {
        "rule": rule.id,
        "rule_name": rule.name,
        "condition": describe(rule),
        "component": component.id,
        "component_name": component.name,
        "component_type": component.component_type,
        "substation": component.substation,
        "measurement_type": rule.measurement_type,
        "value": turn.value,
        "timestamp": to_rfc3339(turn.at),
        "reason": why,
    }
    topic = RAISED if turn.raised else CLEARED
    severity = rule.severity if turn.raised else "info"
    key = None if why is not None else f"{topic}/{rule.id}/{rule.updated_at}/{component.id}/{turn.at}"
    publish(tx, Event(topic, data, severity, dedup_key=key), now=now)
