"""What people do with jobs: list, show, cancel, replay, sweep."""

import json
from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from signalbox.core.errors import ConflictError, NotFoundError
from signalbox.infra.jobs.job import State, StoredJob
from signalbox.infra.jobs.tables import RUNNING, WAITING, job
from signalbox.infra.jobs.wake import mark, notify

_c = job.c
_COLUMNS = [_c[name] for name in StoredJob.__slots__]
_DEAD = _c.state == literal_column("'dead'")
_CANCELLED = _c.state == literal_column("'cancelled'")

_IN_STATE: dict[State, Sequence[ColumnElement[bool]]] = {
    "waiting": [WAITING],
    "running": [RUNNING],
    "done": [_c.state == literal_column("'done'")],
    "dead": [_DEAD, _c.ended_at.is_not(None)],  # the second, which always holds, lets the planner use the index
    "cancelled": [_CANCELLED, _c.ended_at.is_not(None)],
}


class JobNotFoundError(NotFoundError):
    """There is no such job, or it was swept."""

    code = "job_not_found"


class JobEndedError(ConflictError):
    """The state of the job forbids it."""

    code = "job_state"


class KeyInUseError(ConflictError):
    """Another job with the same key waits or runs."""

    code = "job_key_in_use"


def find_jobs(
    tx: Connection, *, state: State | None = None, kind: str | None = None, before: int | None = None, limit: int
) -> list[StoredJob]:
    """Jobs with ids below ``before``, newest first, at most ``limit``; None stands for all."""
    query = select(*_COLUMNS).order_by(_c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(*_IN_STATE[state])
    if kind is not None:
        query = query.where(_c.kind == kind)
    if before is not None:
        query = query.where(_c.id < before)
    return [_to_stored(row) for row in tx.execute(query)]


def find_job(tx: Connection, number: int) -> StoredJob:
    """One job.

    Raises:
        JobNotFoundError: there is none with this id.
    """
    row = tx.execute(select(*_COLUMNS).where(_c.id == number)).first()
    if row is None:
        msg = f"there is no job {number}"
        raise JobNotFoundError(msg)
    return _to_stored(row)


_COUNTS = select(_c.kind, _c.state, func.count()).where(WAITING | RUNNING | (_DEAD & _c.ended_at.is_not(None)))


def count_jobs(tx: Connection) -> dict[tuple[str, State], int]:
    """How many jobs of each kind wait, run and are dead. It reads them all: for status pages and metrics."""
    rows = tx.execute(_COUNTS.group_by(_c.kind, _c.state))
    return {(row[0], row[1]): row[2] for row in rows}


_CANCEL = (
    update(job)
    .where(_c.id == bindparam("wanted"), WAITING | RUNNING)
    .values(
        state=case((WAITING, literal_column("'cancelled'")), else_=_c.state),
        cancel_at=func.coalesce(_c.cancel_at, bindparam("now", type_=_c.cancel_at.type)),
        ended_at=case((WAITING, bindparam("now", type_=_c.ended_at.type)), else_=null()),
    )
    .returning(_c.state)
)


def cancel(tx: Connection, number: int, *, now: int) -> StoredJob:
    """End a job: a waiting one at once, a running one when its worker next renews its leases.

    A running one that comes to its end before that is done, or dead, all the same; it does not wait again.

    Raises:
        JobNotFoundError: there is none with this id.
        JobEndedError: it has ended already.
    """
    changed = tx.execute(_CANCEL, {"wanted": number, "now": now}).first()
    found = find_job(tx, number)
    if changed is None:
        msg = f"job {number} is {found.state}; only what waits or runs can be cancelled"
        raise JobEndedError(msg)
    return found


_RETRY = (
    update(job)
    .where(_c.id == bindparam("wanted"), WAITING | _DEAD | _CANCELLED)
    .values(
        state=literal_column("'waiting'"),
        due_at=bindparam("now", type_=_c.due_at.type),
        since=bindparam("now", type_=_c.since.type),
        attempts=literal_column("0"),
        cancel_at=null(),
        ended_at=null(),
    )
    .returning(_c.kind)
)


def retry(tx: Connection, number: int, *, now: int) -> StoredJob:
    """Run a dead or cancelled job again from the start, or a waiting one now; attempts and age begin anew.

    Raises:
        JobNotFoundError: there is none with this id.
        JobEndedError: it runs, or is done.
        KeyInUseError: another job with its key waits or runs.
    """
    before = find_job(tx, number)
    if before.key is not None and _is_key_in_use(tx, before):
        msg = f"another job of kind {before.kind} with the key {before.key!r} waits or runs"
        raise KeyInUseError(msg)
    try:
        changed = tx.execute(_RETRY, {"wanted": number, "now": now}).first()
    except IntegrityError as error:  # it came between the look and the change, in another transaction
        msg = f"another job of kind {before.kind} with the key {before.key!r} waits or runs"
        raise KeyInUseError(msg) from error
    if changed is None:
        msg = f"job {number} is {before.state}; only what waits, is dead or was cancelled can be run again"
        raise JobEndedError(msg)
    mark(tx, before.kind, now)
    notify(tx, [before.kind])
    return find_job(tx, number)


def _is_key_in_use(tx: Connection, of: StoredJob) -> bool:
    others = select(_c.id).where(_c.kind == of.kind, _c.key == of.key, _c.id != of.id, WAITING | RUNNING)
    return tx.execute(others.limit(1)).first() is not None


def delete_ended(tx: Connection, *, state: State, older_than: int, limit: int) -> int:
    """Delete at most ``limit`` of the jobs that ended in ``state`` before ``older_than``, oldest first; how many."""
    if state in ("waiting", "running"):
        msg = f"a job that is {state} has not ended"
        raise JobEndedError(msg)
    ended = _c.state == literal_column(f"'{state}'")
    aged = select(_c.id).where(ended, _c.ended_at < older_than).order_by(_c.ended_at).limit(limit)
    return tx.execute(delete(job).where(_c.id.in_(aged))).rowcount


def _to_stored(row: Row[tuple[object, ...]]) -> StoredJob:
    values = row._asdict()
    return StoredJob(**{**values, "payload": json.loads(values["payload"])})
