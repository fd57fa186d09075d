"""Leases: a claim holds for some seconds, and longer only while its worker says that it is still there."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select, update

from signalbox.infra.db import single_statement
from signalbox.infra.jobs import outcomes
from signalbox.infra.jobs.queue import JOB_COLUMNS, record, to_jobs
from signalbox.infra.jobs.tables import RUNNING, job

_c = job.c

_EXPIRING = (  # what another transaction holds is being recorded, and needs no lease any more
    select(_c.id)
    .where(RUNNING, _c.worker == bindparam("worker_id"), _c.lease_until < bindparam("soon"))
    .with_for_update(skip_locked=True)
)
_EXTEND = (
    update(job).where(_c.id.in_(_EXPIRING.cte("expiring").select()), RUNNING).values(lease_until=bindparam("until"))
)
_HELD = select(_c.id, _c.claim, _c.lease_until, _c.cancel_at.is_not(None)).where(
    RUNNING, _c.worker == bindparam("worker_id")
)
_LAPSED = (
    select(*JOB_COLUMNS)
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
    lapsed = zip(to_jobs(rows), fractions, strict=False)
    record(tx, [outcomes.of_loss(each, now=now, fraction=fraction) for each, fraction in lapsed], now=now)
    return len(rows)


def end_leases(tx: Connection, *, now: int) -> int:
    """Let every lease run out at once, for a process that knows itself to be the only one; how many it were."""
    return tx.execute(_END_ALL, {"now": now}).rowcount


@single_statement
def first_lapse(tx: Connection) -> int | None:
    """When the first of all leases runs out; None where nothing runs."""
    found: int | None = tx.execute(_FIRST_LAPSE).scalar()
    return found
