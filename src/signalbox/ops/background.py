"""Jobs as operators see them: listed, shown, run again, cancelled. What people change is in the audit trail."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from signalbox.auth import audit
from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import MICROSECONDS, to_datetime
from signalbox.infra.jobs import State, StoredJob, cancel, find_job, find_jobs, read_summary, retry, retry_many
from signalbox.ops.many import ManyOut, change_each

MOST_COUNTED = 10_000
"""Jobs of a kind that are counted; more are shown as this many."""


class JobOut(BaseModel):
    """A job: work that is kept until it is done."""

    id: int
    kind: str = Field(examples=["tasks.submit"])
    state: State
    payload: dict[str, Any]
    key: str | None = Field(description="While a job of its kind with this key waits or runs, no other is taken")
    priority: int = Field(description="1 before 0 before -1", ge=-1, le=1)
    due_at: datetime
    created_at: datetime
    started_at: datetime | None = Field(description="When its last attempt began")
    ended_at: datetime | None
    attempts: int = Field(description="How many attempts have begun and count")
    max_attempts: int
    worker: str | None = Field(description="Which process had it last")
    lease_until: datetime | None
    cancel_at: datetime | None = Field(description="When somebody asked for its end")
    error: str | None = Field(description="Why its last attempt failed, or what it waits for")
    traceparent: str | None


class Replayed(BaseModel):
    """How many jobs run again."""

    retried: int


class JobsOfKind(BaseModel):
    """How much there is of one kind of jobs."""

    kind: str
    waiting: int = Field(description=f"Jobs that wait, due or not, up to {MOST_COUNTED}")
    running: int
    dead: int = Field(description=f"Up to {MOST_COUNTED}")
    first_due_at: datetime | None = Field(description="When the first waiting job is due, maybe long ago")
    overdue_seconds: float = Field(description="For how long that one has been due; 0 where it is not yet")


_TIMES = ("due_at", "created_at", "started_at", "ended_at", "lease_until", "cancel_at")


def list_jobs(
    tx: Connection, *, state: State | None, kind: str | None, limit: int, cursor: str | None = None
) -> Page[JobOut]:
    """One page of the jobs, newest first; None stands for all.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    page = to_page(find_jobs(tx, state=state, kind=kind, before=before, limit=limit + 1), limit, lambda row: row.id)
    return Page([to_job_out(row) for row in page.items], page.next_cursor)


def summarize_jobs(tx: Connection, *, now: int) -> list[JobsOfKind]:
    """How much waits, runs and is dead of each kind that has any, by kind."""
    return [
        JobsOfKind(
            kind=kind,
            waiting=found.waiting,
            running=found.running,
            dead=found.dead,
            first_due_at=None if found.first_due is None else to_datetime(found.first_due),
            overdue_seconds=0.0 if found.first_due is None else max(0, now - found.first_due) / MICROSECONDS,
        )
        for kind, found in read_summary(tx, most=MOST_COUNTED).items()
    ]


def show_job(tx: Connection, number: int) -> JobOut:
    """One job.

    Raises:
        JobNotFoundError: there is none with this id.
    """
    return to_job_out(find_job(tx, number))


def retry_job(tx: Connection, number: int, *, actor: str, now: int, request_id: str | None = None) -> JobOut:
    """Run a dead or cancelled job again from the start, or a waiting one now; see ``infra.jobs.retry`` for the errors."""
    before = find_job(tx, number)
    after = retry(tx, number, now=now)
    _audit(tx, "job.retry", before, after, actor=actor, now=now, request_id=request_id)
    return to_job_out(after)


def retry_jobs(
    tx: Connection,
    *,
    state: Literal["dead", "cancelled"],
    kind: str | None,
    ended_before: int | None = None,
    limit: int,
    actor: str,
    now: int,
    request_id: str | None = None,
) -> int:
    """Run many again at once; see ``infra.jobs.retry_many`` for which, and for the errors. How many it were."""
    count = retry_many(tx, state=state, kind=kind, ended_before=ended_before, limit=limit, now=now)
    if count:
        audit.record(
            tx,
            actor=actor,
            action="job.retry_many",
            target=f"job:{kind or '*'}",
            before={"state": state},
            after={"state": "waiting", "count": count},
            at=now,
            request_id=request_id,
        )
    return count


def cancel_job(tx: Connection, number: int, *, actor: str, now: int, request_id: str | None = None) -> JobOut:
    """End a job, a running one within seconds; see ``infra.jobs.cancel`` for the errors."""
    before = find_job(tx, number)
    after = cancel(tx, number, now=now)
    _audit(tx, "job.cancel", before, after, actor=actor, now=now, request_id=request_id)
    return to_job_out(after)


def change_jobs(
    tx: Connection,
    ids: Sequence[int],
    *,
    action: Literal["retry", "cancel"],
    actor: str,
    now: int,
    request_id: str | None = None,
) -> list[ManyOut]:
    """``retry_job`` or ``cancel_job`` for each of these; one that cannot be changed keeps no other from it."""
    change = retry_job if action == "retry" else cancel_job
    return change_each(tx, ids, partial(change, actor=actor, now=now, request_id=request_id))


def _audit(
    tx: Connection, action: str, before: StoredJob, after: StoredJob, *, actor: str, now: int, request_id: str | None
) -> None:
    audit.record(
        tx,
        actor=actor,
        action=action,
        target=f"job:{before.id}",
        before={"kind": before.kind, "state": before.state, "attempts": before.attempts},
        after={"kind": after.kind, "state": after.state, "attempts": after.attempts},
        at=now,
        request_id=request_id,
    )


def to_job_out(row: StoredJob) -> JobOut:
    """A job on the wire."""
    values = asdict(row)
    del values["claim"]
    times = {name: None if values[name] is None else to_datetime(values[name]) for name in _TIMES}
    return JobOut.model_validate({**values, **times})
