"""What people do with jobs: list, show, cancel, replay, sweep."""

import json
from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from signalbox.core.errors import ConflictError, NotFoundError
from signalbox.infra.db.wake import mark, notify
from signalbox.infra.events import publish
from signalbox.infra.jobs.endings import cancelled_event
from signalbox.infra.jobs.job import Job, State, StoredJob
from signalbox.infra.jobs.tables import RUNNING, WAITING, job

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


_LIVE = (  # in the words of the index of keys, as SQLite wants it
    select(_c.id)
    .where(
        _c.kind == bindparam("wanted"),
        _c.key == bindparam("by"),
        _c.state.in_([literal_column("'waiting'"), literal_column("'running'")]),
    )
    .limit(1)
)


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


def is_live(tx: Connection, kind: str, key: str) -> bool:
    """Whether a job with this key waits or runs: what it is for is still under way."""
    return tx.execute(_LIVE, {"wanted": kind, "by": key}).first() is not None


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

    A running one that comes to its end before that is done, or dead, all the same; it does not wait again. What is
    cancelled publishes ``job.cancelled``, then or now, for whoever waits for its work.

    Raises:
        JobNotFoundError: there is none with this id.
        JobEndedError: it has ended already.
    """
    changed = tx.execute(_CANCEL, {"wanted": number, "now": now}).first()
    found = find_job(tx, number)
    if changed is None:
        msg = f"job {number} is {found.state}; only what waits or runs can be cancelled"
        raise JobEndedError(msg)
    event = cancelled_event(found, attempts=found.attempts) if found.state == "cancelled" else None
    if event is not None:
        publish(tx, event, now=now)
    return found


_REPLAY = (
    update(job)
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
_RETRY = _REPLAY.where(_c.id == bindparam("wanted"), WAITING | _DEAD | _CANCELLED)
_FIRST_OF_KEY = (
    func.row_number()
    .over(partition_by=[_c.kind, func.coalesce(_c.key, cast(_c.id, Text))], order_by=_c.id)
    .label("place")
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


_OTHER = job.alias("other")
_OTHER_LIVES = (
    select(_OTHER.c.id)
    .where(
        _OTHER.c.kind == _c.kind,
        _OTHER.c.key == _c.key,
        _OTHER.c.key.is_not(None),
        _OTHER.c.state.in_([literal_column("'waiting'"), literal_column("'running'")]),
    )
    .exists()
)


def retry_many(
    tx: Connection, *, state: State, kind: str | None = None, ended_before: int | None = None, limit: int, now: int
) -> int:
    """Run at most ``limit`` of the jobs that are dead or cancelled again, those that ended first before others.

    Jobs whose key is in use are left as they are; of several with the same key one runs.

    Returns:
        How many it were; 0 once nothing is left to run again.

    Raises:
        JobEndedError: ``state`` is another than ``dead`` and ``cancelled``.
        KeyInUseError: another transaction enqueued a job with the key of one of them meanwhile; nothing was changed.
    """
    if state not in ("dead", "cancelled"):
        msg = f"jobs that are {state} cannot be run again; those that are dead or cancelled can"
        raise JobEndedError(msg)
    ended = select(_c.id, _c.ended_at, _FIRST_OF_KEY).where(*_IN_STATE[state], ~_OTHER_LIVES)
    if kind is not None:
        ended = ended.where(_c.kind == kind)
    if ended_before is not None:
        ended = ended.where(_c.ended_at < ended_before)
    firsts = ended.subquery("ended")
    wanted = select(firsts.c.id).where(firsts.c.place == 1).order_by(firsts.c.ended_at, firsts.c.id).limit(limit)
    try:
        kinds = tx.execute(_REPLAY.where(_c.id.in_(wanted)), {"now": now}).scalars().all()
    except IntegrityError as error:
        msg = "jobs with the same keys are being enqueued; try again"
        raise KeyInUseError(msg) from error
    for each in set(kinds):
        mark(tx, each, now)
    notify(tx, set(kinds))
    return len(kinds)


def _is_key_in_use(tx: Connection, of: StoredJob) -> bool:
    others = select(_c.id).where(_c.kind == of.kind, _c.key == of.key, _c.id != of.id, WAITING | RUNNING)
    return tx.execute(others.limit(1)).first() is not None


_FREE = (
    update(job)
    .where(_c.id == bindparam("wanted"), _c.claim == bindparam("claimed"), RUNNING)
    .values(key=null())
    .returning(_c.id)
)


def free_key(tx: Connection, of: Job) -> bool:
    """Let another job with the key of a running one be enqueued while that one ends; False where its claim has gone.

    For a handler that has looked for work in this transaction and found none: whoever adds some enqueues a job again.
    If the job runs once more because its process died, its ``key`` is None, and there is nothing left to do.
    """
    return tx.execute(_FREE, {"wanted": of.id, "claimed": of.claim}).first() is not None


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
