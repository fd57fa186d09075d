"""Jobs in the main database: rows that are claimed, reported and claimed again. All of it in the caller's transaction.

Nothing here waits or reads a clock. Statements are built once: to build one costs several times what running it does.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Row,
    Select,
    Update,
    any_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.infra.db import Dialect
from signalbox.infra.events import Event, publish
from signalbox.infra.jobs import outcomes
from signalbox.infra.jobs.job import MAX_AGE, MAX_ATTEMPTS, PRIORITIES, Job, NewJob, Priority, Report, State
from signalbox.infra.jobs.rows import DIALECTS, bound_rows, encode_rows
from signalbox.infra.jobs.tables import RUNNING, WAITING, job
from signalbox.infra.jobs.wake import CHANNEL, mark, notify

DEAD = "job.dead"
"""The topic of the event that is published in the transaction in which a job dies."""

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_c = job.c


# -- enqueue ----------------------------------------------------------------------------------------------------------

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
    source = select(*rows.c, *_FIRST.values()).where(literal_column("1") == literal_column("1"))  # else SQLite's parser
    return make(job).from_select([*_GIVEN, *_FIRST], source).on_conflict_do_nothing()  # takes ON for a join's


_INSERT_ONE: dict[str, Insert | Select[Any]] = {dialect: _insert_one(dialect) for dialect in DIALECTS}
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
    found = tx.execute(_INSERT_ONE[tx.dialect.name], {**row, "now": now}).first()
    if found is None:
        return None
    mark(tx, kind, row["due_at"])
    made: int = found[0]
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


# -- claim ------------------------------------------------------------------------------------------------------------

_JOB = [
    _c.id,
    _c.kind,
    _c.payload,
    _c.attempts,
    _c.max_attempts,
    _c.claim,
    _c.lease_until,
    _c.due_at,
    _c.priority,
    _c.key,
    _c.since,
    _c.max_age,
    _c.traceparent,
]
"""In the order of ``Job``."""


def _claim(dialect: Dialect) -> Update:
    now, limit = bindparam("now", type_=_c.due_at.type), bindparam("limit")
    levels = [_level(priority, now, limit) for priority in PRIORITIES]
    due = union_all(*(select(level) for level in levels)).subquery("due")
    chosen = select(due.c.id).order_by(due.c.priority.desc(), due.c.due_at, due.c.id).limit(limit)
    return (
        update(job)
        .where(_is_one_of(dialect, chosen))
        .values(
            state="running",
            attempts=_c.attempts + 1,
            claim=_c.claim + 1,
            worker=bindparam("worker_id"),
            lease_until=bindparam("until"),
            started_at=now,
        )
        .returning(*_JOB)
    )


def _level(priority: Priority, now: ColumnElement[int], limit: ColumnElement[int]) -> Any:
    """The first due jobs of one priority, straight from the index; over all of them the database would have to sort."""
    level = literal_column(str(priority))
    wanted = select(_c.id, level.label("priority"), _c.due_at).where(
        WAITING, _c.kind == bindparam("wanted"), _c.priority == level, _c.due_at <= now
    )
    ordered = wanted.order_by(_c.due_at, _c.id).limit(limit).with_for_update(skip_locked=True)
    return ordered.cte(f"level_{PRIORITIES.index(priority)}")


def _is_one_of(dialect: Dialect, chosen: Select[Any]) -> ColumnElement[bool]:
    """PostgreSQL cannot know how few ids LIMIT leaves, and may read the whole table for them; an array it looks up."""
    if dialect == "sqlite":
        return _c.id.in_(chosen)
    return _c.id == any_(func.array(chosen.scalar_subquery()))


_CLAIM: dict[str, Update] = {dialect: _claim(dialect) for dialect in DIALECTS}


def claim(tx: Connection, kind: str, *, worker: str, limit: int, now: int, lease: int) -> list[Job]:
    """Lease at most ``limit`` due jobs of a kind to ``worker`` until ``now + lease``; highest priority first, then age.

    Each job goes to one worker, however many ask at once.
    """
    values = {"wanted": kind, "worker_id": worker, "limit": limit, "now": now, "until": now + lease}
    found = _to_jobs(tx.execute(_CLAIM[tx.dialect.name], values))
    found.sort(key=lambda each: (-each.priority, each.due_at, each.id))
    return found


def _to_jobs(rows: Iterable[Row[Any]]) -> list[Job]:
    return [Job._make((id_, kind, json.loads(payload), *rest)) for id_, kind, payload, *rest in rows]


# -- report -----------------------------------------------------------------------------------------------------------

_IS_CURRENT = {"id": _c.id.type, "claim": _c.claim.type}
_ENDS_NOW = bindparam("now", type_=_c.ended_at.type)


def _finish(dialect: Dialect) -> Update:
    """For plain successes, which are most: half the work of the general statement."""
    said = bound_rows(dialect, "rows", _IS_CURRENT, "said")
    ended = {"state": literal_column("'done'"), "lease_until": null(), "ended_at": _ENDS_NOW}
    return update(job).where(_c.id == said.c.id, _c.claim == said.c.claim, RUNNING).values(ended).returning(_c.id)


def _record(dialect: Dialect) -> Update:
    others = {"state": _c.state, "due_at": _c.due_at, "uncounted": _c.attempts, "error": _c.error}
    columns = {**_IS_CURRENT, **{name: column.type for name, column in others.items()}}
    said = bound_rows(dialect, "rows", columns, "said")
    waits = said.c.state == literal_column("'waiting'")
    wanted = _c.cancel_at.is_(None)
    return (
        update(job)
        .where(_c.id == said.c.id, _c.claim == said.c.claim, RUNNING)
        .values(
            state=case((waits & ~wanted, literal_column("'cancelled'")), else_=said.c.state),
            due_at=said.c.due_at,
            attempts=_c.attempts - said.c.uncounted,
            error=func.coalesce(said.c.error, _c.error),
            lease_until=null(),
            ended_at=case((waits & wanted, null()), else_=_ENDS_NOW),
        )
        .returning(_c.id, _c.state)
    )


_FINISH: dict[str, Update] = {dialect: _finish(dialect) for dialect in DIALECTS}
_RECORD: dict[str, Update] = {dialect: _record(dialect) for dialect in DIALECTS}


def record(tx: Connection, reports: Sequence[Report], *, now: int) -> dict[int, State]:
    """Write down what became of claims, with what their handlers want recorded beside it.

    A job whose end was asked for meanwhile does not run again. A job that dies publishes ``job.dead``.

    Returns:
        The state of each job whose claim was current; of all others nothing has changed.
    """
    kept = _write(tx, reports, now)
    for report in reports:
        state = kept.get(report.job.id)
        if state is not None and report.then is not None:
            report.then(tx)
        if state == "dead":
            publish(tx, dead_event(report), now=now)
        elif state == "waiting":
            mark(tx, report.job.kind, report.due_at)
    _tell_others(tx, reports, kept, now)
    return kept


def _write(tx: Connection, reports: Sequence[Report], now: int) -> dict[int, State]:
    done = [(each.job.id, each.job.claim) for each in reports if each.state == "done"]
    other = [
        (each.job.id, each.job.claim, each.state, each.due_at, each.uncounted, each.error)
        for each in reports
        if each.state != "done"
    ]
    dialect, kept = tx.dialect.name, dict[int, State]()
    if done:
        found = tx.execute(_FINISH[dialect], {"rows": encode_rows(done), "now": now})
        kept.update(dict.fromkeys(found.scalars(), "done"))
    if other:
        kept.update((row[0], row[1]) for row in tx.execute(_RECORD[dialect], {"rows": encode_rows(other), "now": now}))
    return kept


def dead_event(report: Report) -> Event:
    """What others are told of a job that died."""
    of = report.job
    data = {"id": of.id, "kind": of.kind, "key": of.key, "attempts": of.attempt, "error": report.error}
    return Event(DEAD, data, severity="error")


def _tell_others(tx: Connection, reports: Sequence[Report], kept: Mapping[int, State], now: int) -> None:
    """Other processes look for what this one gave back; what is due later they find in time by themselves."""
    given_back = {each.job.kind for each in reports if each.due_at <= now and kept.get(each.job.id) == "waiting"}
    if given_back:
        notify(tx, given_back)


# -- leases -----------------------------------------------------------------------------------------------------------

_EXPIRING = (  # what another transaction holds is being recorded, and needs no lease any more
    select(_c.id)
    .where(RUNNING, _c.worker == bindparam("worker_id"), _c.lease_until < bindparam("soon"))
    .with_for_update(skip_locked=True)
)
_EXTEND = update(job).where(_c.id.in_(_EXPIRING.cte("expiring").select()), RUNNING).values(
    lease_until=bindparam("until")
)
_HELD = select(_c.id, _c.claim, _c.lease_until, _c.cancel_at.is_not(None)).where(
    RUNNING, _c.worker == bindparam("worker_id")
)
_LAPSED = (
    select(*_JOB)
    .where(RUNNING, _c.lease_until <= bindparam("now"))
    .order_by(_c.lease_until)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_FIRST_LAPSE = select(func.min(_c.lease_until)).where(RUNNING)
_END_ALL = update(job).where(RUNNING, _c.lease_until > bindparam("now")).values(lease_until=bindparam("now"))


class Held(NamedTuple):
    """One claim that a worker still has."""

    claim: int
    lease_until: int
    cancelled: bool
    """Whether somebody asked for the job's end."""


def renew(tx: Connection, *, worker: str, now: int, lease: int) -> dict[int, Held]:
    """Extend those leases of a worker that are more than a quarter used; all that it holds, by job id.

    A lease that has run out is extended too, unless another worker was quicker.
    """
    tx.execute(_EXTEND, {"worker_id": worker, "soon": now + lease * 3 // 4, "until": now + lease})
    return {row[0]: Held(row[1], row[2], bool(row[3])) for row in tx.execute(_HELD, {"worker_id": worker})}


def recover(tx: Connection, *, now: int, limit: int, fractions: Sequence[float]) -> int:
    """Take at most ``limit`` jobs from workers whose leases ran out; how many it were.

    They wait again, or are dead where that was their last attempt. ``fractions`` are throws of the dice for their
    back-offs, from 0 to 1.
    """
    rows = tx.execute(_LAPSED, {"now": now, "limit": min(limit, len(fractions))}).all()
    lapsed = zip(_to_jobs(rows), fractions, strict=False)
    record(tx, [outcomes.of_loss(each, now=now, fraction=fraction) for each, fraction in lapsed], now=now)
    return len(rows)


def end_leases(tx: Connection, *, now: int) -> int:
    """Let every lease run out at once, for a process that knows itself to be the only one; how many it were."""
    return tx.execute(_END_ALL, {"now": now}).rowcount


# -- look -------------------------------------------------------------------------------------------------------------


def _next(dialect: Dialect) -> Select[Any]:
    kinds = bound_rows(dialect, "rows", {"kind": _c.kind.type}, "kinds")
    firsts = [
        select(func.min(_c.due_at))
        .where(WAITING, _c.kind == kinds.c.kind, _c.priority == literal_column(str(priority)))
        .scalar_subquery()
        for priority in PRIORITIES
    ]
    return select(kinds.c.kind, *firsts)


_NEXT: dict[str, Select[Any]] = {dialect: _next(dialect) for dialect in DIALECTS}


def next_due(tx: Connection, kinds: Sequence[str]) -> dict[str, int]:
    """When the first waiting job of each kind is due, maybe long ago; kinds without one are left out."""
    rows = tx.execute(_NEXT[tx.dialect.name], {"rows": encode_rows([[kind] for kind in kinds])})
    firsts = {row[0]: [due_at for due_at in row[1:] if due_at is not None] for row in rows}
    return {kind: min(found) for kind, found in firsts.items() if found}


def first_lapse(tx: Connection) -> int | None:
    """When the first of all leases runs out; None where nothing runs."""
    found: int | None = tx.execute(_FIRST_LAPSE).scalar()
    return found
