"""Queries about threshold rules, and about the newest readings that they are held against."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from sqlalchemy import (
    BindParameter,
    Connection,
    Insert,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.core.times import DAY
from signalbox.grid import chunk_store
from signalbox.grid.chunk_store import AT_ONCE, Span, to_readings
from signalbox.grid.chunks import decode_chunk
from signalbox.grid.merging import Readings, join, sort
from signalbox.grid.models import chunk, component, rule, rule_state, tail, watched
from signalbox.grid.series import MeasurementType
from signalbox.infra.db import Dialect
from signalbox.infra.db.prepared import Prepared
from signalbox.infra.events import Severity

_r, _s = rule.c, rule_state.c

_END: Final = 2**62


class RuleRow(NamedTuple):
    """A rule as it is kept."""

    id: int
    name: str
    measurement_type: MeasurementType
    comparison: Literal[">", "<"]
    bound: float
    clear: float
    readings: int
    component_id: int | None
    component_type: str | None
    severity: Severity
    created_by: str
    created_at: int
    updated_at: int


class StateRow(NamedTuple):
    """How a component stands by a rule whose bound it has crossed at least once."""

    rule_id: int
    component_id: int
    raised: bool
    changed_at: int
    value: float
    seen_until: int


class Watched(NamedTuple):
    """A series that has new readings which may matter."""

    series: int
    after: int
    """Time of the newest reading that it had before."""


class ComponentName(NamedTuple):
    """What an event tells of a component."""

    id: int
    component_type: str
    name: str
    substation: str


_COLUMNS: Final = [_r[name] for name in RuleRow._fields]
_STATE: Final = [_s[name] for name in StateRow._fields]
_NAMES: Final = [component.c[name] for name in ComponentName._fields]

_value: Final[BindParameter[float]] = bindparam("value")
_component: Final[BindParameter[int]] = bindparam("component")
_wrong: Final = case((_r.comparison == ">", _value > _r.bound), else_=_value < _r.bound)
_well: Final = case((_r.comparison == ">", _value <= _r.clear), else_=_value >= _r.clear)
_type: Final = select(component.c.component_type).where(component.c.id == _component).scalar_subquery()

_CONCERNED: Final = Prepared(
    select(_r.id)
    .select_from(rule.outerjoin(rule_state, and_(_s.rule_id == _r.id, _s.component_id == _component)))
    .where(
        _r.measurement_type == bindparam("kind"),
        or_(_r.component_id.is_(None), _r.component_id == _component),
        or_(_r.component_type.is_(None), _r.component_type == _type),
        or_(and_(_s.raised, _well), and_(or_(_s.raised.is_(None), ~_s.raised), _wrong)),
    )
    .limit(1)
)
_NEWEST_OF_TAIL: Final = Prepared(
    select(func.max(tail.c.at)).where(tail.c.series == bindparam("series"), tail.c.at <= bindparam("until"))
)
_NEWEST_CHUNK: Final = Prepared(
    select(chunk.c.last_at)
    .where(
        chunk.c.series == bindparam("series"),
        chunk.c.day <= bindparam("day"),
        chunk.c.first_at <= bindparam("until"),
    )
    .order_by(chunk.c.day.desc())
    .limit(1)
)


def _put(dialect: Dialect) -> Insert:
    new = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(rule_state)
    changed = {name: new.excluded[name] for name in ("raised", "changed_at", "value", "seen_until")}
    return new.on_conflict_do_update(index_elements=["rule_id", "component_id"], set_=changed)


_PUTS: Final[dict[str, Insert]] = {"sqlite": _put("sqlite"), "postgresql": _put("postgresql")}


def add_rule(tx: Connection, values: Mapping[str, Any]) -> int:
    """Add a rule; its id.

    Raises:
        sqlalchemy.exc.IntegrityError: there is another of the name.
    """
    made: int = tx.execute(insert(rule).returning(_r.id), dict(values)).scalar_one()
    return made


def find_rule(tx: Connection, number: int, *, lock: bool = False) -> RuleRow | None:
    """One rule; with ``lock`` nobody else changes it until ``tx`` ends."""
    query = select(*_COLUMNS).where(_r.id == number)
    row = tx.execute(query.with_for_update() if lock else query).first()
    return None if row is None else RuleRow._make(row)


def find_rules(tx: Connection, *, before: int | None = None, limit: int | None = None) -> list[RuleRow]:
    """Rules with ids below ``before``, newest first, at most ``limit``."""
    query = select(*_COLUMNS).order_by(_r.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_r.id < before)
    return [RuleRow._make(row) for row in tx.execute(query)]


def find_rules_of(tx: Connection, number: int) -> list[RuleRow]:
    """The rules for this component alone."""
    return [RuleRow._make(row) for row in tx.execute(select(*_COLUMNS).where(_r.component_id == number))]


def change_rule(tx: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Set columns of a rule.

    Raises:
        sqlalchemy.exc.IntegrityError: there is another of the name.
    """
    tx.execute(update(rule).where(_r.id == number).values(dict(values)))


def delete_rule(tx: Connection, number: int) -> None:
    """Delete a rule, with how components stand by it."""
    tx.execute(delete(rule_state).where(_s.rule_id == number))
    tx.execute(delete(rule).where(_r.id == number))


def count_raised(tx: Connection, rules: Collection[int]) -> dict[int, int]:
    """How many components are raised by each of these rules; those that raise none are left out."""
    query = select(_s.rule_id, func.count()).where(_s.raised, _s.rule_id.in_(rules)).group_by(_s.rule_id)
    return {row[0]: row[1] for row in tx.execute(query)}


def find_raised(
    tx: Connection, *, rule_id: int | None = None, component_id: int | None = None, limit: int | None = None
) -> list[StateRow]:
    """Who is raised, longest first, at most ``limit``; by a rule, or of a component, or all."""
    query = select(*_STATE).where(_s.raised).order_by(_s.changed_at, _s.rule_id, _s.component_id).limit(limit)
    if rule_id is not None:
        query = query.where(_s.rule_id == rule_id)
    if component_id is not None:
        query = query.where(_s.component_id == component_id)
    return [StateRow._make(row) for row in tx.execute(query)]


def find_states(tx: Connection, components: Collection[int]) -> dict[tuple[int, int], StateRow]:
    """How components stand, by rule and component."""
    rows = []
    for some in _parts(components):
        rows += [StateRow._make(row) for row in tx.execute(select(*_STATE).where(_s.component_id.in_(some)))]
    return {(row.rule_id, row.component_id): row for row in rows}


def put_state(tx: Connection, state: StateRow) -> None:
    """Keep how a component stands."""
    tx.execute(_PUTS[tx.dialect.name], state._asdict())


def delete_states(tx: Connection, *, rule_id: int | None = None, component_id: int | None = None) -> None:
    """Forget how components stand by a rule, or a component by all of them, or one by one."""
    query = delete(rule_state)
    if rule_id is not None:
        query = query.where(_s.rule_id == rule_id)
    if component_id is not None:
        query = query.where(_s.component_id == component_id)
    tx.execute(query)


def find_names(tx: Connection, components: Collection[int]) -> dict[int, ComponentName]:
    """Those of these components that there are."""
    rows = []
    for some in _parts(components):
        found = tx.execute(select(*_NAMES).where(component.c.id.in_(some)))
        rows += [ComponentName._make(row) for row in found]
    return {row.id: row for row in rows}


def list_names(tx: Connection, *, limit: int) -> list[ComponentName]:
    """At most ``limit`` components: those of substations in which one is raised first, by substation, type and name."""
    raised = select(component.c.substation).join(rule_state, component.c.id == _s.component_id).where(_s.raised)
    is_calm = component.c.substation.not_in(raised)
    by = (is_calm, component.c.substation, component.c.component_type, component.c.name)
    return [ComponentName._make(row) for row in tx.execute(select(*_NAMES).order_by(*by).limit(limit))]


def count_components(tx: Connection) -> int:
    """How many there are."""
    return int(tx.execute(select(func.count()).select_from(component)).scalar_one())


def find_raised_among(tx: Connection, components: Collection[int]) -> set[int]:
    """Those of these components that are raised by any rule."""
    found: set[int] = set()
    for some in _parts(components):
        found.update(tx.execute(select(_s.component_id).where(_s.raised, _s.component_id.in_(some))).scalars())
    return found


def concerns(tx: Connection, number: int, kind: MeasurementType, value: float) -> bool:
    """Whether such a reading of a component may raise a rule, or clear one that is raised."""
    return bool(_CONCERNED.run(tx, {"component": number, "kind": kind, "value": value}))


def add_watched(tx: Connection, some: Collection[Watched]) -> None:
    """Note series whose new readings are yet to be held against rules."""
    tx.execute(insert(watched), [each._asdict() for each in some])


def take_watched(tx: Connection, *, limit: int) -> list[Watched]:
    """Take at most ``limit`` series that were noted, longest noted first; each once, with its earliest moment."""
    series, after = watched.c.series, func.min(watched.c.after)
    query = select(series, after).group_by(series).order_by(func.min(watched.c.id)).limit(limit)
    found = [Watched(*row) for row in tx.execute(query)]
    tx.execute(delete(watched).where(series.in_([each.series for each in found])))
    return found


def find_newest(tx: Connection, series: int, *, until: int = _END) -> int | None:
    """Time of the newest reading of a series that is not newer than ``until``; None where it has none."""
    wanted = {"series": series, "until": until}
    found = [*_NEWEST_OF_TAIL.run(tx, wanted), *_NEWEST_CHUNK.run(tx, {**wanted, "day": until // DAY})]
    newest = max((int(row[0]) for row in found if row[0] is not None), default=None)
    if newest is None or newest <= until:
        return newest
    return int(read_last(tx, series, until, count=1).at[0])  # the chunk has some on either side


def read_after(tx: Connection, series: int, after: int, *, until: int) -> Readings:
    """Readings of a series that are newer than ``after`` and not newer than ``until``, by time."""
    span = Span(after + 1, until + 1)
    in_chunks = chunk_store.read_series(tx, [series], span)
    waiting = chunk_store.read_tail(tx, span, series=[series])
    return sort(join([waiting] if in_chunks is None else [in_chunks, waiting]))[0]


def read_last(tx: Connection, series: int, until: int, *, count: int) -> Readings:
    """The newest ``count`` readings of a series that are not newer than ``until``, by time."""
    if not count:
        return join([])
    query = select(tail.c.series, tail.c.at, tail.c.value).where(tail.c.series == series, tail.c.at <= until)
    parts = [to_readings(tx.execute(query.order_by(tail.c.at.desc()).limit(count)).all())]
    there = (chunk.c.series == series, chunk.c.day <= until // DAY, chunk.c.first_at <= until)
    days = select(chunk.c.n, chunk.c.data).where(*there)
    found = 0
    for row in tx.execute(days.order_by(chunk.c.day.desc()).limit(count)):  # each day has at least one reading
        at, value = decode_chunk(bytes(row.data))
        part = Readings(np.full(row.n, series, np.int64), at, value).take(at <= until)
        parts.append(part)
        found += len(part.at)
        if found >= count:
            break
    return sort(join(parts))[0].take(slice(-count, None))


def _parts(numbers: Collection[int]) -> list[list[int]]:
    ordered = sorted(set(numbers))
    return [ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE)]
