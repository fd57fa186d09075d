"""Queries of statistics; those of single calls are in ``call_blocks.py``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, false, func, literal, select, text

from signalbox.core.times import HOUR
from signalbox.gateway.call_blocks import Block, insert_blocks
from signalbox.gateway.models import call_hour, call_hour_due, call_minute
from signalbox.gateway.schemas import Filters
from signalbox.gateway.sums import Key, Sums
from signalbox.infra.db.bulk import upsert_rows

_KIND = ("upstream", "route", "method", "status")

_ROWS_AT_ONCE = 1_000
"""Rows of sums that are Python's at a time. SQLite's driver holds no more; PostgreSQL's holds the answer packed, some
200 bytes a row. Server-side cursors would spare that, but SQLAlchemy leaves them open where a connection breaks."""

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


def write_batch(tx: Connection, blocks: Sequence[Block], minutes: list[dict[str, Any]]) -> None:
    """Keep calls, and write this process's sums over its older ones of the same minutes, whose hours become due."""
    insert_blocks(tx, blocks)
    _make_due(tx, sorted({row["minute"] // HOUR * HOUR for row in minutes}))
    upsert_rows(tx, call_minute, keys=("minute", *_KIND, "writer"), rows=minutes)


def find_sums(tx: Connection, filters: Filters, *, hours: bool = False) -> Iterator[Part]:
    """Sums of a range while they are read, by minute; ``path_prefix`` does not apply.

    With ``hours``, for a range of whole hours: by hour where minutes are rolled up, by minute where they are due.
    """
    for query in _queries(tx, filters, hours=hours):
        for row in tx.execute(query).yield_per(_ROWS_AT_ONCE):
            start, upstream, route, method, status, *sums = row
            yield Part(start, upstream, route, method, status, Sums.from_columns(*sums))


def count_sums(tx: Connection, filters: Filters, *, hours: bool, limit: int) -> int:
    """How many rows ``find_sums`` would read; counting ends soon behind ``limit``."""
    total = 0
    for query in _queries(tx, filters, hours=hours):
        rows = query.with_only_columns(literal(1)).limit(limit + 1 - total).subquery()
        total += tx.execute(select(func.count()).select_from(rows)).scalar_one()
        if total > limit:
            break
    return total


def find_due_hours(tx: Connection, *, until: int, limit: int) -> Sequence[int]:
    """The oldest hours before ``until`` whose minutes are not rolled up."""
    hour = call_hour_due.c.hour
    return tx.execute(select(hour).where(hour < until).order_by(hour).limit(limit)).scalars().all()


def take_due_hour(tx: Connection, hour: int) -> bool:
    """Shut writers out of an hour until the transaction ends, as it is due no more; False if it was not due."""
    _lock_hour(tx, hour, shared=False)
    return tx.execute(delete(call_hour_due).where(call_hour_due.c.hour == hour)).rowcount == 1


def replace_hour(tx: Connection, hour: int, sums: Mapping[Key, Sums]) -> None:
    """Write what the minutes of an hour add up to over what was there."""
    tx.execute(delete(call_hour).where(call_hour.c.hour == hour))
    rows = [{"hour": hour, **each.to_row(key)} for key, each in sums.items()]
    upsert_rows(tx, call_hour, keys=("hour", *_KIND), rows=rows)


def _make_due(tx: Connection, hours: Sequence[int]) -> None:
    """Remember that hours have new minutes. Locks are taken in order of time, so that writers never wait in a ring."""
    for hour in hours:
        _lock_hour(tx, hour, shared=True)
    if hours:
        tx.execute(_MARK_DUE, [{"hour": hour} for hour in hours])


def _lock_hour(tx: Connection, hour: int, *, shared: bool) -> None:
    """Writers of minutes share an hour, a roll-up has it alone: it then sees all minutes whose mark it takes away.

    Without, a writer that finds its hour still due could commit behind a roll-up that has not seen its minutes.
    On SQLite there is one writer at a time.
    """
    if tx.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
        tx.execute(select(lock(_HOUR_LOCKS, hour // HOUR)))


def _queries(tx: Connection, filters: Filters, *, hours: bool) -> Iterator[Select[Any]]:
    if not hours:
        yield _query(call_minute, call_minute.c.minute, filters)
        return
    yield _query(call_hour, call_hour.c.hour, filters).where(call_hour.c.hour.not_in(select(call_hour_due.c.hour)))
    for since, until in _due_spans(tx, filters):
        yield _query(call_minute, call_minute.c.minute, filters._replace(since=since, until=until))


def _query(table: Table, start: ColumnElement[int], filters: Filters) -> Select[Any]:
    columns = [table.c[name] for name in (*_KIND, "count", "micros", "request_bytes", "response_bytes", "latency")]
    return select(start, *columns).where(*_shared_conditions(table, filters), *_within(start, filters))


def _due_spans(tx: Connection, filters: Filters) -> list[tuple[int, int]]:
    """Begin and end of the due parts of a range; hours that follow each other make one part."""
    hour = call_hour_due.c.hour
    spans: list[tuple[int, int]] = []
    for start in tx.execute(select(hour).where(*_within(hour, filters)).order_by(hour)).scalars():
        begin = spans.pop()[0] if spans and spans[-1][1] == start else start
        spans.append((begin, start + HOUR))
    return spans


def _within(moment: ColumnElement[int], filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.since is not None:
        conditions.append(moment >= filters.since)
    if filters.until is not None:
        conditions.append(moment < filters.until)
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
