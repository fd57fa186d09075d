"""Queries of statistics."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, false, func, select

from signalbox.gateway.models import call, call_minute
from signalbox.gateway.schemas import Call, Filters
from signalbox.infra.db.bulk import insert_rows, upsert_rows
from signalbox.infra.telemetry import Histogram

FAILED = 400
"""Lowest status of a failed call."""

_KEYS = ("minute", "upstream", "route", "method", "status", "writer")


class Minute(NamedTuple):
    """Sums of one minute's calls of one kind."""

    minute: int
    upstream: str
    route: str
    status: int
    calls: int
    micros: int
    request_bytes: int
    response_bytes: int
    latency: Histogram


def write_batch(tx: Connection, calls: Sequence[Call], minutes: list[dict[str, Any]]) -> None:
    """Keep calls, and write this process's sums over its older ones of the same minutes."""
    insert_rows(tx, call, Call._fields, calls)
    upsert_rows(tx, call_minute, keys=_KEYS, rows=minutes)


def find_calls(tx: Connection, filters: Filters, *, before: int | None, limit: int) -> list[tuple[int, Call]]:
    """Calls with their ids, newest first, at most ``limit``, with ids below ``before``."""
    query = select(call.c.id, *(call.c[name] for name in Call._fields)).where(*_call_conditions(filters))
    if before is not None:
        query = query.where(call.c.id < before)
    rows = tx.execute(query.order_by(call.c.id.desc()).limit(limit))
    return [(row[0], Call._make(row[1:])) for row in rows]


def find_minutes(tx: Connection, filters: Filters) -> list[Minute]:
    """Sums of whole minutes, in order of time; ``path_prefix`` does not apply."""
    table = call_minute
    columns = [table.c[name] for name in ("minute", "upstream", "route", "status", "count", "micros")]
    columns += [table.c.request_bytes, table.c.response_bytes, table.c.latency]
    conditions: list[ColumnElement[bool]] = _shared_conditions(table, filters)
    if filters.since is not None:
        conditions.append(table.c.minute >= filters.since)
    if filters.until is not None:
        conditions.append(table.c.minute < filters.until)
    rows = tx.execute(select(*columns).where(*conditions).order_by(table.c.minute))
    return [Minute._make((*row[:-1], Histogram.from_bytes(row[-1]))) for row in rows]


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
