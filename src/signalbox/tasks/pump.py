"""What the two pumps of a provider share: each is one job at a time, which is there exactly while there is work.

A pump's job has the provider's name as its key, so whoever adds work enqueues one, and adds nothing where one waits or
runs. A pump that finds nothing left frees its key in the transaction in which it looked. On PostgreSQL another
transaction may add work that is not yet to be seen, and find the key still in use; a lock that all who add work share
and the pump takes alone keeps the two apart. On SQLite there is one writer at a time.
"""

import zlib
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from signalbox.core.times import DAY, MICROSECONDS
from signalbox.infra.jobs import Job, enqueue, find_job, free_key
from signalbox.tasks.errors import LeaseLostError

SUBMIT: Final = "tasks.submit"
POLL: Final = "tasks.poll"
LATER: Final = "tasks.later"
"""Kind of jobs that start a submit pump when a task has waited long enough."""

PLENTY: Final = 1_000_000
"""Attempts of a pump: it is not what fails, and must never be dead."""
FOR_EVER: Final = 36_500 * DAY

SAFETY: Final = MICROSECONDS
"""What must be left of a lease when it is relied on: a transaction may take a while to be committed."""

LONGEST_REST: Final = 60 * MICROSECONDS
"""Time after which a pump that waits for permits looks again: a limit of a day may have been raised meanwhile."""

_LOCKS: Final = {SUBMIT: 0x5167_0010, POLL: 0x5167_0011}
"""First numbers of PostgreSQL's advisory locks of pumps; the second is the provider's."""

_WOKEN: Final = "signalbox.tasks.woken"

_JOIN = select(func.pg_advisory_xact_lock_shared(bindparam("pump"), bindparam("provider")))
_ALONE = select(func.pg_advisory_xact_lock(bindparam("pump"), bindparam("provider")))


def wake(tx: Connection, kind: str, provider: str, *, now: int, due_at: int | None = None) -> None:
    """Have a pump run at ``due_at``, or at once; to be called in the transaction that adds its work."""
    if due_at is None and not _is_first(tx, kind, provider):
        return
    _lock(tx, kind, provider, alone=False)
    _enqueue(tx, kind, provider, now=now, due_at=due_at)


def close(tx: Connection, kind: str, provider: str) -> None:
    """Keep others from adding work until ``tx`` ends; what was added before is to be seen from now on."""
    _lock(tx, kind, provider, alone=True)


def end(tx: Connection, job: Job, *, following: int | None, now: int) -> None:
    """End the run of a pump; it runs again at ``following``, whatever is added before, or when work is added.

    Raises:
        LeaseLostError: another process has the job by now.
    """
    if not free_key(tx, job):
        msg = f"job {job.id} has another holder"
        raise LeaseLostError(msg)
    if following is not None:
        _enqueue(tx, job.kind, job.payload["provider"], now=now, due_at=following)


def wake_later(tx: Connection, provider: str, *, due_at: int, now: int) -> None:
    """Have the submit pump woken at ``due_at``, while new tasks wake it before."""
    enqueue(
        tx,
        LATER,
        {"provider": provider},
        now=now,
        due_at=due_at,
        key=f"{provider}/{due_at}",
        max_attempts=PLENTY,
        max_age=FOR_EVER,
    )


def lease_of(tx: Connection, job: Job, *, now: int) -> int:
    """Until when nobody else runs this job, in microseconds UTC.

    Raises:
        LeaseLostError: another process has it by now, or may soon.
    """
    found = find_job(tx, job.id)
    until = found.lease_until
    if found.state != "running" or found.claim != job.claim or until is None or until < now + SAFETY:
        msg = f"the lease of job {job.id} has gone"
        raise LeaseLostError(msg)
    return until


def _is_first(tx: Connection, kind: str, provider: str) -> bool:
    """Whether the pump was not woken in this transaction yet: commits are in groups, and to ask takes half of intake.

    What holds when it is woken first holds until the transaction ends: no run can end meanwhile without being seen.
    """
    transaction = tx.get_transaction()
    of, woken = tx.info.get(_WOKEN, (None, None))
    if of is not transaction or transaction is None:
        tx.info[_WOKEN] = transaction, {(kind, provider)}
        return True
    if (kind, provider) in woken:
        return False
    woken.add((kind, provider))
    return True


def _enqueue(tx: Connection, kind: str, provider: str, *, now: int, due_at: int | None) -> None:
    payload = {"provider": provider}
    enqueue(tx, kind, payload, now=now, due_at=due_at, key=provider, max_attempts=PLENTY, max_age=FOR_EVER, priority=1)


def _lock(tx: Connection, kind: str, provider: str, *, alone: bool) -> None:
    if tx.dialect.name == "postgresql":
        number = zlib.crc32(provider.encode()) - 2**31  # PostgreSQL's numbers are signed
        tx.execute(_ALONE if alone else _JOIN, {"pump": _LOCKS[kind], "provider": number})
