"""Queries about schedules of reports."""

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from signalbox.grid.models import report, schedule
from signalbox.grid.schedule_periods import Every, Period

_s = schedule.c


class ScheduleRow(NamedTuple):
    """A schedule as it is kept."""

    id: int
    name: str
    every: Every
    timezone: str
    delay: int
    paused: bool
    next_start: int
    next_end: int
    created_by: str
    created_at: int
    updated_at: int

    @property
    def next_period(self) -> Period:
        """What its next report is about."""
        return Period(self.next_start, self.next_end)


_COLUMNS: Final = [_s[name] for name in ScheduleRow._fields]


def add_schedule(tx: Connection, values: Mapping[str, Any]) -> int:
    """Add a schedule; its id.

    Raises:
        sqlalchemy.exc.IntegrityError: there is another of the name.
    """
    made: int = tx.execute(insert(schedule).returning(_s.id), dict(values)).scalar_one()
    return made


def find_schedule(tx: Connection, number: int, *, lock: bool = False) -> ScheduleRow | None:
    """One schedule; with ``lock`` nobody else changes it until ``tx`` ends."""
    query = select(*_COLUMNS).where(_s.id == number)
    row = tx.execute(query.with_for_update() if lock else query).first()  # SQLite has one writer, and no such words
    return None if row is None else ScheduleRow._make(row)


def find_schedules(tx: Connection, *, before: int | None = None, limit: int) -> list[ScheduleRow]:
    """Schedules with ids below ``before``, newest first, at most ``limit``."""
    query = select(*_COLUMNS).order_by(_s.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_s.id < before)
    return [ScheduleRow._make(row) for row in tx.execute(query)]


def find_due(tx: Connection, *, now: int, without: Collection[int] = ()) -> ScheduleRow | None:
    """The schedule whose report is due longest, ``without`` these, for nobody else until ``tx`` ends; None where none is."""
    due = (_s.next_end + _s.delay <= now) & _s.paused.is_(False) & _s.id.not_in(without)
    query = select(*_COLUMNS).where(due).order_by(_s.next_end, _s.id).limit(1)
    row = tx.execute(query.with_for_update(skip_locked=True)).first()
    return None if row is None else ScheduleRow._make(row)


def change_schedule(tx: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Set columns of a schedule.

    Raises:
        sqlalchemy.exc.IntegrityError: there is another of the name.
    """
    tx.execute(update(schedule).where(_s.id == number).values(dict(values)))


def delete_schedule(tx: Connection, number: int) -> None:
    """Delete a schedule; its reports stay."""
    tx.execute(delete(schedule).where(_s.id == number))


def find_last_report(tx: Connection, number: int) -> int | None:
    """The id of the newest report of a schedule."""
    found: int | None = tx.execute(select(func.max(report.c.id)).where(report.c.schedule_id == number)).scalar()
    return found
