"""Schedules: jobs that are enqueued again and again, once for all processes together.

The moments follow from the rule alone, so every process expects the same ones. The row of a schedule holds the next;
whoever moves it on enqueues the job in the same transaction. Moments that nobody was there for are made up for once.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.core.errors import InvalidError
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
        """What is enqueued; its key keeps it from being there twice."""
        return NewJob(self.kind, self.payload, key=f"schedule/{self.name}", priority=self.priority)


def every(name: str, kind: str, span: int, payload: Mapping[str, Any] | None = None) -> Schedule:
    """A job every ``span`` microseconds; schedules of one span fire at different moments of it."""
    return Schedule(name, kind, Every(span, zlib.crc32(name.encode()) * MICROSECONDS % max(span, 1)), payload or {})


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule as the database knows it. Times are microseconds UTC."""

    name: str
    spec: str
    next_at: int
    last_at: int | None
    """When it last enqueued its job."""


_ALL = select(*(table.c[name] for name in StoredSchedule.__slots__)).order_by(table.c.name)
_NEXT = select(table.c.spec, table.c.next_at).where(table.c.name == bindparam("wanted"))
_MOVE = (
    update(table)
    .where(table.c.name == bindparam("wanted"), table.c.spec == bindparam("old"), table.c.next_at == bindparam("seen"))
    .values(spec=bindparam("new"), next_at=bindparam("following"))
)
_FIRE = _MOVE.values(last_at=bindparam("now"))
_ADDS = {
    dialect: insert(table).on_conflict_do_nothing()
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def fire(tx: Connection, schedules: Sequence[Schedule], *, now: int) -> int | None:
    """Enqueue the jobs of those schedules whose moment has come; however many processes ask, each moment counts once.

    Returns:
        The next moment of any of them, in microseconds UTC; None where there are none.
    """
    return min((_fire_one(tx, each, now) for each in sorted(schedules, key=lambda each: each.name)), default=None)


def find_schedules(tx: Connection) -> list[StoredSchedule]:
    """All that were ever run, by name; one whose next moment has long passed is run by nobody any more."""
    return [StoredSchedule(*row) for row in tx.execute(_ALL)]


def _fire_one(tx: Connection, schedule: Schedule, now: int) -> int:
    following = schedule.rule.after(now)
    row = tx.execute(_NEXT, {"wanted": schedule.name}).first()
    if row is None:
        values = {"name": schedule.name, "spec": schedule.spec, "next_at": following, "last_at": None}
        tx.execute(_ADDS[tx.dialect.name], values)
        return following
    if row.spec == schedule.spec and row.next_at > now:
        return int(row.next_at)
    fires = row.spec == schedule.spec
    moved = {"wanted": schedule.name, "old": row.spec, "seen": row.next_at, "new": schedule.spec}
    values = {**moved, "following": following, **({"now": now} if fires else {})}
    if tx.execute(_FIRE if fires else _MOVE, values).rowcount and fires:
        new = schedule.to_job()
        enqueue(tx, new.kind, new.payload, now=now, key=new.key, priority=new.priority)
    return following
