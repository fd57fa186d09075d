"""Schedules: jobs that are enqueued again and again, once for all processes together.

The moments follow from the rule alone, so every process expects the same ones. The row of a schedule holds the next;
whoever moves it on enqueues the job in the same transaction. Moments that nobody was there for are made up for once.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.core.errors import ConflictError, InvalidError, NotFoundError
from signalbox.core.times import MICROSECONDS
from signalbox.infra.jobs.cron import Cron
from signalbox.infra.jobs.intake import enqueue
from signalbox.infra.jobs.job import NewJob, Priority, check_kind
from signalbox.infra.jobs.tables import schedule as table

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Every:
    """At whole multiples of ``span`` microseconds since 1970, moved by ``phase``."""

    span: int
    phase: int = 0

    def __post_init__(self) -> None:
        if self.span < MICROSECONDS:
            msg = "a schedule repeats at most once a second"
            raise InvalidError(msg)

    def after(self, moment: int) -> int:
        """The first moment after ``moment``."""
        return ((moment - self.phase) // self.span + 1) * self.span + self.phase


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job to enqueue again and again. While one of it waits or runs, no other is enqueued."""

    name: str
    """What it is known by in the database; 1 to 100 printable characters."""
    kind: str
    rule: Every | Cron
    """An ``Every``, or ``parse_cron(...)``; the latter is in UTC."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    priority: Priority = 0

    def __post_init__(self) -> None:
        check_kind(self.kind)
        if not self.name.isprintable() or not 0 < len(self.name) <= _LONGEST_NAME:
            msg = f"the name of a schedule has 1 to {_LONGEST_NAME} printable characters"
            raise InvalidError(msg)

    @property
    def spec(self) -> str:
        """The rule as text: when it differs from what the database has, the next moment is calculated anew."""
        if isinstance(self.rule, Cron):
            return self.rule.text
        return f"every {self.rule.span}+{self.rule.phase}"

    def to_job(self) -> NewJob:
        """What is enqueued."""
        return NewJob(self.kind, self.payload, key=_key(self.name), priority=self.priority)


def every(name: str, kind: str, span: int, payload: Mapping[str, Any] | None = None) -> Schedule:
    """A job every ``span`` microseconds; schedules of one span fire at different moments of it."""
    return Schedule(name, kind, Every(span, zlib.crc32(name.encode()) * MICROSECONDS % max(span, 1)), payload or {})


class ScheduleNotFoundError(NotFoundError):
    """No process has ever run a schedule of this name."""

    code = "schedule_not_found"


class ScheduleBusyError(ConflictError):
    """The job of the schedule waits or runs already."""

    code = "schedule_busy"


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule as the database knows it. Times are microseconds UTC."""

    name: str
    spec: str
    next_at: int
    last_at: int | None
    """When it last enqueued its job."""
    kind: str
    """Of the job that it enqueues; empty where only an older release has run it."""
    paused_at: int | None
    """Since when its moments pass without a job; None where it is not paused."""


_STORED = [table.c[name] for name in StoredSchedule.__slots__]
_ALL = select(*_STORED).order_by(table.c.name)
_ONE = select(*_STORED).where(table.c.name == bindparam("wanted"))
_JOB = select(table.c.kind, table.c.payload, table.c.priority).where(table.c.name == bindparam("wanted"))
_NEXT = select(table.c.spec, table.c.next_at, table.c.paused_at, table.c.kind, table.c.payload, table.c.priority).where(
    table.c.name == bindparam("wanted")
)
_MOVE = (
    update(table)
    .where(table.c.name == bindparam("wanted"), table.c.spec == bindparam("old"), table.c.next_at == bindparam("seen"))
    .values(spec=bindparam("new"), next_at=bindparam("following"))
)
_FIRE = _MOVE.where(table.c.paused_at.is_(None)).values(last_at=bindparam("now"))
_DESCRIBE = (
    update(table)
    .where(table.c.name == bindparam("wanted"))
    .values(kind=bindparam("of_kind"), payload=bindparam("with_payload"), priority=bindparam("at_priority"))
)
_PAUSE = update(table).where(table.c.name == bindparam("wanted")).values(paused_at=bindparam("since"))
_ADDS = {
    dialect: insert(table).on_conflict_do_nothing()
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def fire(tx: Connection, schedules: Sequence[Schedule], *, now: int) -> int | None:
    """Enqueue the jobs of those schedules whose moment has come; however many processes ask, each moment counts once.

    The moments of one that is paused pass, and are not made up for.

    Returns:
        The next moment of any of them, in microseconds UTC; None where there are none.
    """
    return min((_fire_one(tx, each, now) for each in sorted(schedules, key=lambda each: each.name)), default=None)


def find_schedules(tx: Connection) -> list[StoredSchedule]:
    """All that were ever run, by name; one whose next moment has long passed is run by nobody any more."""
    return [StoredSchedule(*row) for row in tx.execute(_ALL)]


def find_schedule(tx: Connection, name: str) -> StoredSchedule:
    """One schedule.

    Raises:
        ScheduleNotFoundError: there is none of this name.
    """
    row = tx.execute(_ONE, {"wanted": name}).first()
    if row is None:
        msg = f"there is no schedule {name!r}"
        raise ScheduleNotFoundError(msg)
    return StoredSchedule(*row)


def run_schedule(tx: Connection, name: str, *, now: int) -> int:
    """Enqueue the job of a schedule now, paused or not; its moments stay as they are. The id of the job.

    Raises:
        ScheduleNotFoundError: there is none of this name, or nobody knows what it enqueues yet.
        ScheduleBusyError: its job waits or runs already.
    """
    found = find_schedule(tx, name)
    if not found.kind:
        msg = f"what the schedule {name!r} enqueues is known once a worker of this release has started"
        raise ScheduleNotFoundError(msg)
    kind, payload, priority = tx.execute(_JOB, {"wanted": name}).one()
    made = enqueue(tx, kind, json.loads(payload), now=now, key=_key(name), priority=priority)
    if made is None:
        msg = f"the job of the schedule {name!r} waits or runs already"
        raise ScheduleBusyError(msg)
    return made


def pause_schedule(tx: Connection, name: str, *, now: int) -> StoredSchedule:
    """Let the moments of a schedule pass, in all processes, until it is resumed; one that is paused stays so.

    Raises:
        ScheduleNotFoundError: there is none of this name.
    """
    if find_schedule(tx, name).paused_at is None:
        tx.execute(_PAUSE, {"wanted": name, "since": now})
    return find_schedule(tx, name)


def resume_schedule(tx: Connection, name: str) -> StoredSchedule:
    """Let a schedule enqueue its job again, from its next moment on.

    Raises:
        ScheduleNotFoundError: there is none of this name.
    """
    tx.execute(_PAUSE, {"wanted": name, "since": None})
    return find_schedule(tx, name)


def _fire_one(tx: Connection, schedule: Schedule, now: int) -> int:
    following, new = schedule.rule.after(now), schedule.to_job()
    said = {"kind": new.kind, "payload": json.dumps(dict(new.payload)), "priority": new.priority}
    row = tx.execute(_NEXT, {"wanted": schedule.name}).first()
    if row is None:
        values = {"name": schedule.name, "spec": schedule.spec, "next_at": following, "last_at": None, **said}
        tx.execute(_ADDS[tx.dialect.name], values)
        return following
    if (row.kind, row.payload, row.priority) != tuple(said.values()):
        described = {"of_kind": said["kind"], "with_payload": said["payload"], "at_priority": said["priority"]}
        tx.execute(_DESCRIBE, {"wanted": schedule.name, **described})
    if row.spec == schedule.spec and row.next_at > now:
        return int(row.next_at)
    fires = row.spec == schedule.spec and row.paused_at is None
    moved = {"wanted": schedule.name, "old": row.spec, "seen": row.next_at, "new": schedule.spec}
    values = {**moved, "following": following, **({"now": now} if fires else {})}
    if tx.execute(_FIRE if fires else _MOVE, values).rowcount and fires:
        enqueue(tx, new.kind, new.payload, now=now, key=new.key, priority=new.priority)
    return following


def _key(name: str) -> str:
    """Of the jobs of a schedule: it keeps them from being there twice."""
    return f"schedule/{name}"
