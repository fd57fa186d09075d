"""What can be done with threshold rules; how readings are held against them is in ``rule_watch.py``."""

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from signalbox.core.errors import Fault, InvalidError, UnprocessableError
from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import to_datetime
from signalbox.grid import chunk_store, models, rule_store, rule_watch, trail
from signalbox.grid.changes import merge
from signalbox.grid.errors import RuleExistsError, RuleNotFoundError
from signalbox.grid.kinds import kinds
from signalbox.grid.room import check_room
from signalbox.grid.rule_store import RuleRow
from signalbox.grid.schemas import Crossing, ThresholdRuleIn, ThresholdRuleOut

_CONDITION: Final = re.compile(
    r"\s*(?P<measurement_type>[A-Za-z]+)\s*(?P<comparison>[<>])\s*(?P<bound>[-+0-9.eE]+)"
    r"(?:\s+for\s+(?P<readings>[0-9]{1,3})\s+readings?)?\s*",
    re.ASCII,
)


def parse_condition(text: str) -> dict[str, str]:
    """The fields of a rule that ``POWER > 55 for 3 readings`` stands for, as texts.

    Raises:
        InvalidError: it is no condition.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        msg = f"{text!r} is no condition; write one as in 'POWER > 55' or 'VOLTAGE < 108.5 for 3 readings'"
        raise InvalidError(msg)
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    return {**found, "measurement_type": found["measurement_type"].upper()}


def add(
    tx: Connection, new: ThresholdRuleIn, *, limit: int, by: str, now: int, request_id: str | None = None
) -> ThresholdRuleOut:
    """Add a rule; it holds for readings that come from now on.

    Raises:
        UnprocessableError: there is no such component, or no such kind.
        RuleExistsError: another has its name.
        TooManyKeptError: there are ``limit`` rules already.
    """
    check_room(tx, models.rule, limit=limit, setting="grid.max_rules")
    _check(tx, new)
    try:
        number = rule_store.add_rule(tx, {**_to_columns(new, now), "created_by": by, "created_at": now})
    except IntegrityError:
        raise _taken(new) from None
    made = _to_out(_get(tx, number), 0)
    trail.note(tx, "threshold_rule.create", None, made, by=by, now=now, request_id=request_id)
    return made


def show(tx: Connection, number: int) -> ThresholdRuleOut:
    """One rule.

    Raises:
        RuleNotFoundError: there is none with this id.
    """
    row = _get(tx, number)
    return _to_out(row, rule_store.count_raised(tx, [number]).get(number, 0))


def list_rules(tx: Connection, *, limit: int, cursor: str | None = None) -> Page[ThresholdRuleOut]:
    """One page of the rules, newest first.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    page = to_page(rule_store.find_rules(tx, before=before, limit=limit + 1), limit, lambda row: row.id)
    raised = rule_store.count_raised(tx, [row.id for row in page.items])
    return Page([_to_out(row, raised.get(row.id, 0)) for row in page.items], page.next_cursor)


def list_crossings(
    tx: Connection, *, rule: int | None = None, component: int | None = None, limit: int
) -> list[Crossing]:
    """Who is raised, longest first, at most ``limit``."""
    found = rule_store.find_raised(tx, rule_id=rule, component_id=component, limit=limit)
    return [
        Crossing(rule_id=row.rule_id, component_id=row.component_id, since=to_datetime(row.changed_at), value=row.value)
        for row in found
    ]


def change(
    tx: Connection, number: int, given: Mapping[str, Any], *, by: str, now: int, request_id: str | None = None
) -> ThresholdRuleOut:
    """Change some fields. The rule begins anew: components that it had raised are cleared, and raised by what comes.

    Raises:
        UnprocessableError: what comes out is no rule.
        RuleNotFoundError: there is none with this id.
        RuleExistsError: another has its name.
    """
    chunk_store.own(tx)  # nobody holds readings against it meanwhile
    row = _get(tx, number, lock=True)
    before, new = show(tx, number), merge(_to_in(row), given)
    _check(tx, new)
    rule_watch.settle(tx, rule_store.find_raised(tx, rule_id=number), why="the rule was changed", now=now)
    rule_store.delete_states(tx, rule_id=number)
    try:
        rule_store.change_rule(tx, number, _to_columns(new, now))
    except IntegrityError:
        raise _taken(new) from None
    after = _to_out(_get(tx, number), 0)
    trail.note(tx, "threshold_rule.change", before, after, by=by, now=now, request_id=request_id)
    return after


def delete(tx: Connection, number: int, *, by: str, now: int, request_id: str | None = None) -> None:
    """Delete a rule; components that it had raised are cleared.

    Raises:
        RuleNotFoundError: there is none with this id.
    """
    chunk_store.own(tx)
    _get(tx, number, lock=True)
    before = show(tx, number)
    rule_watch.settle(tx, rule_store.find_raised(tx, rule_id=number), why="the rule was deleted", now=now)
    rule_store.delete_rule(tx, number)
    trail.note(tx, "threshold_rule.delete", before, None, by=by, now=now, request_id=request_id)


def forget_component(tx: Connection, number: int, *, by: str, now: int, request_id: str | None = None) -> None:
    """A component goes: what it has raised is cleared, and rules for it alone go with it."""
    rule_watch.settle_component(tx, number, None, why="the component was deleted", now=now)
    for row in rule_store.find_rules_of(tx, number):
        delete(tx, row.id, by=by, now=now, request_id=request_id)


def _check(tx: Connection, new: ThresholdRuleIn) -> None:
    if new.component_type is not None and new.component_type not in kinds():
        raise UnprocessableError([Fault("component_type", f"is one of {', '.join(sorted(kinds()))}")])
    if new.component_id is not None and not chunk_store.has_component(tx, new.component_id):
        raise UnprocessableError([Fault("component_id", f"there is no component {new.component_id}")])


def _to_columns(new: ThresholdRuleIn, now: int) -> dict[str, Any]:
    values = new.model_dump()
    return {**values, "clear": new.bound if new.clear is None else new.clear, "updated_at": now}


def _to_in(row: RuleRow) -> ThresholdRuleIn:
    values = {name: getattr(row, name) for name in ThresholdRuleIn.model_fields}
    return ThresholdRuleIn(**{**values, "clear": None if row.clear == row.bound else row.clear})


def _to_out(row: RuleRow, raised: int) -> ThresholdRuleOut:
    return ThresholdRuleOut(
        **{name: getattr(row, name) for name in ThresholdRuleIn.model_fields},
        id=row.id,
        condition=rule_watch.describe(row),
        raised=raised,
        created_by=row.created_by,
        created_at=to_datetime(row.created_at),
        updated_at=to_datetime(row.updated_at),
    )


def _get(tx: Connection, number: int, *, lock: bool = False) -> RuleRow:
    row = rule_store.find_rule(tx, number, lock=lock)
    if row is None:
        msg = f"there is no threshold rule {number}"
        raise RuleNotFoundError(msg)
    return row


def _taken(new: ThresholdRuleIn) -> RuleExistsError:
    return RuleExistsError(f"there is another threshold rule with the name {new.name!r}")
