"""Jobs as rows of the main database: claimed, reported and claimed again. All of it in the caller's transaction.

Nothing here waits or reads a clock. Statements are built once: to build one costs several times what running it does.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Select,
    Update,
    any_,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningDelete

from signalbox.infra.db import Dialect, single_statement
from signalbox.infra.db.rows import DIALECTS, bound_columns, bound_rows, encode_columns, encode_rows
from signalbox.infra.db.wake import mark, notify
from signalbox.infra.events import publish
from signalbox.infra.jobs.endings import of_end
from signalbox.infra.jobs.job import PRIORITIES, Job, Priority, Report, State
from signalbox.infra.jobs.tables import RUNNING, WAITING, job

_c = job.c
_decode = json.JSONDecoder().decode


# -- claim ------------------------------------------------------------------------------------------------------------

JOB_COLUMNS = [
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
    now, limit = bindparam("now", type_=_c.due_at.type), bindparam("limit", type_=_c.claim.type)
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
        .returning(*JOB_COLUMNS)
    )


def _level(priority: Priority, now: ColumnElement[int], limit: ColumnElement[int]) -> Any:
    """The first due jobs of one priority, straight from the index; over all of them the database would have to sort."""
    level: ColumnElement[int] = literal_column(str(priority))
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


@single_statement
def claim(tx: Connection, kind: str, *, worker: str, limit: int, now: int, lease: int) -> list[Job]:
    """Lease at most ``limit`` due jobs of a kind to ``worker`` until ``now + lease``; highest priority first, then age.

    Each job goes to one worker, however many ask at once.
    """
    values = {"wanted": kind, "worker_id": worker, "limit": limit, "now": now, "until": now + lease}
    found = to_jobs(tx.execute(_CLAIM[tx.dialect.name], values))
    found.sort(key=lambda each: (-each.priority, each.due_at, each.id))
    return found


def to_jobs(rows: Iterable[Sequence[Any]]) -> list[Job]:
    """Jobs of rows of ``JOB_COLUMNS``."""
    return [Job(id_, kind, _decode(payload), *rest) for id_, kind, payload, *rest in rows]


# -- report -----------------------------------------------------------------------------------------------------------

_IS_CURRENT = {"id": _c.id.type, "claim": _c.claim.type}
_ENDS_NOW = bindparam("now", type_=_c.ended_at.type)


def _finish(said: FromClause) -> Update:
    """For plain successes, which are most: half the work of the general statement."""
    ended = {"state": literal_column("'done'"), "lease_until": null(), "ended_at": _ENDS_NOW}
    return (
        update(job)
        .where(_c.id == said.c.id, _c.claim == said.c.claim, RUNNING)
        .values(ended)
        .returning(_c.id, _c.claim)
    )


def _finish_and_tell_late() -> CompoundSelect[Any]:
    """On PostgreSQL: ends them, and answers with those that were not current any more. As a rule that is no row at all."""
    said = bound_columns(_IS_CURRENT, "said")
    ended = _finish(said).cte("ended")
    return select(said.c.id, said.c.claim).except_(select(ended.c.id, ended.c.claim))


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
        .returning(_c.id, _c.claim, _c.state)
    )


def _forget(dialect: Dialect) -> ReturningDelete[Any]:
    said = bound_rows(dialect, "rows", _IS_CURRENT, "said")
    is_said = select(said.c.id).where(said.c.id == _c.id, said.c.claim == _c.claim).exists()
    return delete(job).where(_is_one_of(dialect, select(said.c.id)), is_said, RUNNING).returning(_c.id, _c.claim)


_FORGET: dict[str, ReturningDelete[Any]] = {dialect: _forget(dialect) for dialect in DIALECTS}
_FINISH = _finish(bound_rows("sqlite", "rows", _IS_CURRENT, "said"))
_FINISH_AND_TELL_LATE = _finish_and_tell_late()
_RECORD: dict[str, Update] = {dialect: _record(dialect) for dialect in DIALECTS}


def record(tx: Connection, reports: Sequence[Report], *, now: int) -> list[State | None]:
    """Write down what became of claims, with what their handlers want recorded beside it.

    A job whose end was asked for meanwhile does not run again. What dies publishes ``job.dead``, what is cancelled
    ``job.cancelled``; see ``endings`` for the exceptions.

    Returns:
        For each report the state of its job; None where the claim was not current any more, or has been reported
        before: then nothing has changed.
    """
    first = {(each.job.id, each.job.claim): each for each in reversed(reports)}
    kept = _write(tx, first.values(), now)
    states = [kept.pop((each.job.id, each.job.claim), None) for each in reports]
    given_back: set[str] = set()
    for report, state in zip(reports, states, strict=True):
        if state is None:
            continue
        if report.then is not None:
            report.then(tx)
        if (event := of_end(report, state)) is not None:
            publish(tx, event, now=now)
        elif state == "waiting":
            mark(tx, report.job.kind, report.due_at)
            if report.due_at <= now:
                given_back.add(report.job.kind)
    if given_back:  # other processes look for these; what is due later they find in time by themselves
        notify(tx, given_back)
    return states


def _write(tx: Connection, reports: Collection[Report], now: int) -> dict[tuple[int, int], State]:
    """What has changed, by job and claim."""
    done = [(each.job.id, each.job.claim) for each in reports if each.state == "done" and not each.forgets]
    gone = [(each.job.id, each.job.claim) for each in reports if each.state == "done" and each.forgets]
    other = [
        (each.job.id, each.job.claim, each.state, each.due_at, each.uncounted, each.error)
        for each in reports
        if each.state != "done"
    ]
    dialect, kept = tx.dialect.name, dict[tuple[int, int], State]()
    if done:
        kept.update((each, "done") for each in _end(tx, done, now))
    if gone:
        found = tx.execute(_FORGET[dialect], {"rows": encode_rows(gone)})
        kept.update(((row[0], row[1]), "done") for row in found)
    if other:
        found = tx.execute(_RECORD[dialect], {"rows": encode_rows(other), "now": now})
        kept.update(((row[0], row[1]), row[2]) for row in found)
    return kept


def _end(tx: Connection, done: Sequence[tuple[int, int]], now: int) -> list[tuple[int, int]]:
    """Those of these claims that were current, and are done now."""
    if tx.dialect.name == "sqlite":
        return [(row[0], row[1]) for row in tx.execute(_FINISH, {"rows": encode_rows(done), "now": now})]
    ids, claims = zip(*done, strict=True)
    late = {
        (row[0], row[1])
        for row in tx.execute(
            _FINISH_AND_TELL_LATE, {**encode_columns("said", {"id": ids, "claim": claims}), "now": now}
        )
    }
    return [each for each in done if each not in late]


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


@single_statement
def next_due(tx: Connection, kinds: Sequence[str]) -> dict[str, int]:
    """When the first waiting job of each kind is due, maybe long ago; kinds without one are left out."""
    rows = tx.execute(_NEXT[tx.dialect.name], {"rows": encode_rows([[kind] for kind in kinds])})
    firsts = {row[0]: [due_at for due_at in row[1:] if due_at is not None] for row in rows}
    return {kind: min(found) for kind, found in firsts.items() if found}
