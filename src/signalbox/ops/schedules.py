"""Schedules as operators see them: listed, run at once, paused and resumed. What people change is in the audit trail."""

from datetime import datetime

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from signalbox.auth import audit
from signalbox.core.times import to_datetime
from signalbox.infra.jobs import (
    StoredSchedule,
    find_job,
    find_schedule,
    find_schedules,
    pause_schedule,
    resume_schedule,
    run_schedule,
)
from signalbox.ops.background import JobOut, to_job_out


class ScheduleOut(BaseModel):
    """A job that is enqueued again and again."""

    name: str
    kind: str = Field(description="Of its jobs; empty until a worker of this release has started")
    rule: str = Field(description="`every N+M`: at multiples of N microseconds, moved by M; or cron in UTC")
    next_at: datetime
    last_at: datetime | None = Field(description="When its job was last enqueued by itself")
    paused_at: datetime | None = Field(description="Since when its moments pass without a job")


def list_schedules(tx: Connection) -> list[ScheduleOut]:
    """Everything that is enqueued again and again, by name."""
    return [_to_out(each) for each in find_schedules(tx)]


def run_now(tx: Connection, name: str, *, actor: str, now: int, request_id: str | None = None) -> JobOut:
    """Enqueue the job of a schedule at once; see ``infra.jobs.run_schedule`` for the errors."""
    made = to_job_out(find_job(tx, run_schedule(tx, name, now=now)))
    after = {"job": made.id}
    _record(tx, "schedule.run", name, before=None, after=after, actor=actor, now=now, request_id=request_id)
    return made


def pause(tx: Connection, name: str, *, actor: str, now: int, request_id: str | None = None) -> ScheduleOut:
    """Let its moments pass until it is resumed, also when processes start anew; pausing twice changes nothing.

    Raises:
        ScheduleNotFoundError: there is none of this name.
    """
    before = find_schedule(tx, name)
    after = pause_schedule(tx, name, now=now)
    _tell(tx, "schedule.pause", before, after, actor=actor, now=now, request_id=request_id)
    return _to_out(after)


def resume(tx: Connection, name: str, *, actor: str, now: int, request_id: str | None = None) -> ScheduleOut:
    """Let it go on from its next moment; what passed meanwhile is not made up for.

    Raises:
        ScheduleNotFoundError: there is none of this name.
    """
    before = find_schedule(tx, name)
    after = resume_schedule(tx, name)
    _tell(tx, "schedule.resume", before, after, actor=actor, now=now, request_id=request_id)
    return _to_out(after)


def _tell(
    tx: Connection,
    action: str,
    before: StoredSchedule,
    after: StoredSchedule,
    *,
    actor: str,
    now: int,
    request_id: str | None,
) -> None:
    if before.paused_at != after.paused_at:
        states = [{"paused": each.paused_at is not None} for each in (before, after)]
        _record(tx, action, after.name, before=states[0], after=states[1], actor=actor, now=now, request_id=request_id)


def _record(
    tx: Connection,
    action: str,
    name: str,
    *,
    before: dict[str, bool] | None,
    after: dict[str, bool] | dict[str, int],
    actor: str,
    now: int,
    request_id: str | None,
) -> None:
    target = f"schedule:{name}"
    audit.record(
        tx,
        actor=actor,
        action=action,
        target=target,
        before=dict(before) if before else None,
        after=dict(after),
        at=now,
        request_id=request_id,
    )


def _to_out(of: StoredSchedule) -> ScheduleOut:
    return ScheduleOut(
        name=of.name,
        kind=of.kind,
        rule=of.spec,
        next_at=to_datetime(of.next_at),
        last_at=None if of.last_at is None else to_datetime(of.last_at),
        paused_at=None if of.paused_at is None else to_datetime(of.paused_at),
    )
