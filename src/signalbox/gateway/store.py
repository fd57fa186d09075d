"""Queries of statistics."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, false, func, select, text

from signalbox.core.times import HOUR
from signalbox.gateway.models import call, call_hour, call_hour_due, call_minute
from signalbox.gateway.schemas import Call, Filters
from signalbox.gateway.sums import Key, Sums
from signalbox.infra.db.bulk import insert_rows, upsert_rows

FAILED = 400
"""Lowest status of a failed call."""

_KEYS = ("minute", "upstream", "route", "method", "status", "writer")


_ROWS_AT_ONCE = 1_000
"""Rows that a driver holds while sums are read: a range may have hundreds of thousands."""

_HOUR_LOCKS = 0x5167_0002
"""First number of PostgreSQL's advisory locks of hours; the second is the hour since 1970."""

_MARK_DUE = text("INSERT INTO call_hour_due (hour) VALUES (:hour) ON CONFLICT DO NOTHING")


class Part(NamedTuple):
    """Sums of the calls of one kind that ended in one minute or hour."""

    start: int
    upstream: str
    route: str
    method: str
    status: int
    sums: Sums


def write_batch(tx: Connection, calls: Sequence[Call], minutes: list[dict[str, Any]]) -> None:
    """Keep calls, and write this process's sums over its older ones of the same minutes, whose hours become due."""
    insert_rows(tx, call, Call._fields, calls)
    _make_due(tx, sorted({row["minute"] // HOUR * HOUR for row in minutes}))
    upsert_rows(tx, call_minute, keys=_KEYS, rows=minutes)


def find_calls(tx: Connection, filters: Filters, *, before: int | None, limit: int) -> list[tuple[int, Call]]:
    """Calls with their ids, newest first, at most ``limit``, with ids below ``before``."""
    query = select(call.c.id, *(call.c[name] for name in Call._fields)).where(*_call_conditions(filters))
    if before is not None:
        query = query.where(call.c.id < before)
    rows = tx.execute(query.order_by(call.c.id.desc()).limit(limit))
    return [(row[0], Call._make(row[1:])) for row in rows]


def find_minutes(tx: Connection, *, since: int, until: int) -> Iterator[Part]:
    """Sums of the minutes of a range, as they are read."""
    return _stream(tx, [_select_sums(call_minute, Filters(since=since, until=until))])


def select_minutes(filters: Filters) -> list[Select[Any]]:
    """Queries of the minutes in a range; ``path_prefix`` does not apply."""
    return [_select_sums(call_minute, filters)]


def select_hours(tx: Connection, filters: Filters) -> list[Select[Any]]:
    """Queries of all sums in a range of whole hours: hours where they are rolled up, minutes where they are due."""
    rolled_up = call_hour.c.hour.not_in(select(call_hour_due.c.hour))
    due = [filters._replace(since=since, until=until) for since, until in _due_spans(tx, filters)]
    return [_select_sums(call_hour, filters).where(rolled_up), *(_select_sums(call_minute, each) for each in due)]

def delete_calls(tx: Connection, *, older_than: int, keep: int, limit: int) -> int:
    """Delete at most ``limit`` of the oldest calls that are too old or over ``keep`` in number; how many it were."""
    newest = tx.execute(select(func.max(call.c.id))).scalar_one()
    if newest is None:
        return 0
    oldest = select(call.c.id).order_by(call.c.id).limit(limit).subquery()
    doomed = select(oldest.c.id).where(oldest.c.id <= newest - keep)
    aged = select(call.c.id).where(call.c.created_at < older_than).order_by(call.c.created_at).limit(limit)
    done = tx.execute(delete(call).where(call.c.id.in_(doomed))).rowcount
    return done or tx.execute(delete(call).where(call.c.id.in_(aged))).rowcount


def _call_conditions(filters: Filters) -> list[ColumnElement[bool]]:
    conditions = _shared_conditions(call, filters)
    if filters.status is not None and filters.status[0] >= FAILED:
        conditions.append(call.c.status >= FAILED)  # lets the partial index of failed calls serve
    if filters.path_prefix is not None:
        conditions.append(_equals(func.substr(call.c.path, 1, len(filters.path_prefix)), filters.path_prefix))
    if filters.since is not None:
        conditions.append(call.c.created_at >= filters.since)
    if filters.until is not None:
        conditions.append(call.c.created_at < filters.until)
    return conditions


def _shared_conditions(table: Any, filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name in ("upstream", "route", "method"):
        wanted = getattr(filters, name)
        if wanted is not None:
            conditions.append(_equals(table.c[name], wanted))
    if filters.status is not None:
        conditions.append(and_(table.c.status >= filters.status[0], table.c.status <= filters.status[1]))
    return conditions


def _equals(column: ColumnElement[str], wanted: str) -> ColumnElement[bool]:
    """No text holds NUL, and PostgreSQL refuses even to compare with it."""
    return false() if "\0" in wanted else column == wanted
