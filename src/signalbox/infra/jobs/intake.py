"""Enqueueing: a job is a row that is written in the transaction of the change it belongs to."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Select, bindparam, func, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.infra.db import Dialect
from signalbox.infra.db.prepared import Prepared
from signalbox.infra.db.rows import DIALECTS, bound_rows, encode_rows
from signalbox.infra.db.wake import CHANNEL, mark, notify
from signalbox.infra.jobs.job import MAX_AGE, MAX_ATTEMPTS, NewJob, Priority
from signalbox.infra.jobs.tables import job

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_c = job.c

_GIVEN = ("kind", "payload", "key", "priority", "due_at", "max_age", "max_attempts", "traceparent")
_FIRST: dict[str, Any] = {
    "state": literal_column("'waiting'"),
    "attempts": literal_column("0"),
    "claim": literal_column("0"),
    "created_at": bindparam("now", type_=_c.created_at.type),
    "since": bindparam("now", type_=_c.since.type),
}


def _insert_one(dialect: Dialect) -> Insert | Select[Any]:
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    values = {**{name: bindparam(name, type_=_c[name].type) for name in _GIVEN}, **_FIRST}
    made = make(job).values(values).on_conflict_do_nothing().returning(_c.id, _c.kind)
    if dialect == "sqlite":
        return made
    new = made.cte("new")
    return select(new.c.id, func.pg_notify(CHANNEL, new.c.kind))


def _insert_many(dialect: Dialect) -> Insert:
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    rows = bound_rows(dialect, "rows", {name: _c[name].type for name in _GIVEN}, "new")
    # without WHERE, SQLite would take the ON of ON CONFLICT for that of a join
    source = select(*rows.c, *_FIRST.values()).where(literal_column("1") == literal_column("1"))
    made = make(job).from_select([*_GIVEN, *_FIRST], source).on_conflict_do_nothing()
    return made.execution_options(preserve_rowcount=True)


_INSERT_ONE = Prepared({dialect: _insert_one(dialect) for dialect in DIALECTS})
_INSERT_MANY: dict[str, Insert] = {dialect: _insert_many(dialect) for dialect in DIALECTS}


def enqueue(
    tx: Connection,
    kind: str,
    payload: Mapping[str, Any],
    *,
    now: int,
    due_at: int | None = None,
    key: str | None = None,
    priority: Priority = 0,
    max_attempts: int = MAX_ATTEMPTS,
    max_age: int = MAX_AGE,
    traceparent: str | None = None,
) -> int | None:
    """Have a job done once ``tx`` is committed; see ``NewJob`` for the arguments.

    Returns:
        Its id; None where a job of this kind with this ``key`` waits or runs already. A running one may have read its
        data before your change: a job that must see every change reads until nothing is new, or goes without a key.

    Raises:
        InvalidError: an argument is not of its form.
        TypeError, ValueError: ``payload`` is not JSON-safe.
    """
    new = NewJob(kind, payload, due_at, key, priority, max_attempts, max_age, traceparent)
    row = dict(zip(_GIVEN, _to_cells(new, now), strict=True))
    found = _INSERT_ONE.run(tx, {**row, "now": now})
    if not found:
        return None
    mark(tx, kind, row["due_at"])
    made: int = found[0][0]
    return made


def enqueue_many(tx: Connection, new: Sequence[NewJob], *, now: int) -> int:
    """As ``enqueue``, for many in one statement; returns how many were taken, which is fewer where keys are in use."""
    if not new:
        return 0
    rows = [_to_cells(each, now) for each in new]
    taken = tx.execute(_INSERT_MANY[tx.dialect.name], {"rows": encode_rows(rows), "now": now}).rowcount
    kinds = {each.kind for each in new}
    for kind in kinds:
        mark(tx, kind, min(now if each.due_at is None else each.due_at for each in new if each.kind == kind))
    notify(tx, kinds)
    return taken


def _to_cells(new: NewJob, now: int) -> tuple[Any, ...]:
    due_at = now if new.due_at is None else new.due_at
    payload = _encode(dict(new.payload))
    return new.kind, payload, new.key, new.priority, due_at, new.max_age, new.max_attempts, new.traceparent
