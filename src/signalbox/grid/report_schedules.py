"""Schedules of reports: what can be done with them, and the reports that they order."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import DAY, MINUTE, to_datetime, to_rfc3339
from signalbox.grid import models, reports, schedule_store, trail
from signalbox.grid.changes import merge
from signalbox.grid.errors import ScheduleExistsError, ScheduleNotFoundError
from signalbox.grid.periods import find_zone
from signalbox.grid.room import check_room
from signalbox.grid.schedule_periods import Period, name_period, period_after, period_at
from signalbox.grid.schedule_store import ScheduleRow
from signalbox.grid.schemas import ScheduleIn, ScheduleOut
from signalbox.infra.events import Event, publish

KIND: Final = "grid.schedule"
SCHEDULER: Final = "hub"
"""Whom the reports of schedules are ordered by."""
FAILED: Final = "report.schedule_failed"


def add(
    tx: Connection, new: ScheduleIn, *, limit: int, by: str, now: int, request_id: str | None = None
) -> ScheduleOut:
    """Add a schedule; its first report is of the period that runs now.

    Raises:
        UnprocessableError: there is no such time zone.
        ScheduleExistsError: another has its name.
        TooManyKeptError: there are ``limit`` schedules already.
    """
    check_room(tx, models.schedule, limit=limit, setting="grid.max_schedules")
    values = {**_to_columns(new, now), "created_by": by, "created_at": now}
    try:
        number = schedule_store.add_schedule(tx, values)
    except IntegrityError:
        raise _taken(new) from None
    made = _show(tx, _get(tx, number))
    trail.note(tx, "report_schedule.create", None, made, by=by, now=now, request_id=request_id)
    return made


def show(tx: Connection, number: int) -> ScheduleOut:
    """One schedule.

    Raises:
        ScheduleNotFoundError: there is none with this id.
    """
    return _show(tx, _get(tx, number))


def list_schedules(tx: Connection, *, limit: int, cursor: str | None = None) -> Page[ScheduleOut]:
    """One page of the schedules, newest first.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    page = to_page(schedule_store.find_schedules(tx, before=before, limit=limit + 1), limit, lambda row: row.id)
    return Page([_show(tx, row) for row in page.items], page.next_cursor)


def change(
    tx: Connection, number: int, given: Mapping[str, Any], *, by: str, now: int, request_id: str | None = None
) -> ScheduleOut:
    """Change some fields. With another kind of period or zone, or after a pause, it begins with the one that runs now.

    Raises:
        UnprocessableError: what comes out is no schedule.
        ScheduleNotFoundError: there is none with this id.
        ScheduleExistsError: another has its name.
    """
    row = _get(tx, number, lock=True)
    before, new = _show(tx, row), merge(_to_in(row), given)
    values = _to_columns(new, now)
    if (new.every, new.timezone, new.paused) == (row.every, row.timezone, row.paused):
        values |= {"next_start": row.next_start, "next_end": row.next_end}
    try:
        schedule_store.change_schedule(tx, number, values)
    except IntegrityError:
        raise _taken(new) from None
    after = _show(tx, _get(tx, number))
    trail.note(tx, "report_schedule.change", before, after, by=by, now=now, request_id=request_id)
    return after


def delete(tx: Connection, number: int, *, by: str, now: int, request_id: str | None = None) -> None:
    """Delete a schedule; its reports stay.

    Raises:
        ScheduleNotFoundError: there is none with this id.
    """
    before = _show(tx, _get(tx, number, lock=True))
    schedule_store.delete_schedule(tx, number)
    trail.note(tx, "report_schedule.delete", before, None, by=by, now=now, request_id=request_id)


def order_due(tx: Connection, *, catch_up: int, now: int) -> bool:
    """Order the reports of the schedule that is due longest; False where none is.

    After a time in which nobody was there, that is a report for each period that has ended, at most the ``catch_up``
    last of them; of those before, an event tells. However many processes ask, each period has one report.

    A schedule whose periods cannot be told, as where this machine does not know its time zone, stays as it is: an event
    tells of it once a day, and the next is taken. Its reports are made up for by whoever can.
    """
    failed: list[int] = []
    while (row := schedule_store.find_due(tx, now=now, without=failed)) is not None:
        try:
            ended, following = _periods_until(row, now)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others are to have their reports
            _tell_failed(tx, row, error, now)
            failed.append(row.id)
        else:
            _order(tx, row, ended, following, catch_up=catch_up, now=now)
            return True
    return False


def _order(
    tx: Connection, row: ScheduleRow, ended: list[tuple[Period, str]], following: Period, *, catch_up: int, now: int
) -> None:
    schedule_store.change_schedule(tx, row.id, {"next_start": following.start, "next_end": following.end})
    for each, name in ended[-catch_up:]:
        reports.order_period(tx, each, timezone=row.timezone, name=name, by=SCHEDULER, now=now, schedule=row.id)
    if len(ended) > catch_up:
        _tell_skipped(tx, row, [each for each, _ in ended[:-catch_up]], now)


def _periods_until(row: ScheduleRow, now: int) -> tuple[list[tuple[Period, str]], Period]:
    """The periods whose reports are due, with the reports' names; and the one after them."""
    zone, period = find_zone(row.timezone), row.next_period
    ended = []
    while period.end + row.delay <= now:
        ended.append((period, f"{row.name} {name_period(row.every, zone, period)}"))
        period = period_after(row.every, zone, period)
    return ended, period


def _tell_failed(tx: Connection, row: ScheduleRow, error: Exception, now: int) -> None:
    reason = f"{type(error).__name__}: {error}"
    data = {"schedule": row.id, "name": row.name, "timezone": row.timezone, "reason": reason}
    publish(tx, Event(FAILED, data, "error", dedup_key=f"{FAILED}/{row.id}/{now // DAY}"), now=now)


def _tell_skipped(tx: Connection, row: ScheduleRow, skipped: list[Period], now: int) -> None:
    data = {
        "schedule": row.id,
        "name": row.name,
        "skipped": len(skipped),
        "start": to_rfc3339(skipped[0].start),
        "end": to_rfc3339(skipped[-1].end),
    }
    publish(tx, Event("report.skipped", data, "warning"), now=now)


def _to_columns(new: ScheduleIn, now: int) -> dict[str, Any]:
    running = period_at(new.every, find_zone(new.timezone), now)
    return {
        "name": new.name,
        "every": new.every,
        "timezone": new.timezone,
        "delay": new.delay_minutes * MINUTE,
        "paused": new.paused,
        "next_start": running.start,
        "next_end": running.end,
        "updated_at": now,
    }


def _to_in(row: ScheduleRow) -> ScheduleIn:
    return ScheduleIn(
        name=row.name,
        every=row.every,
        timezone=row.timezone,
        delay_minutes=row.delay // MINUTE,
        paused=row.paused,
    )


def _show(tx: Connection, row: ScheduleRow) -> ScheduleOut:
    return ScheduleOut(
        **_to_in(row).model_dump(),
        id=row.id,
        next_start=to_datetime(row.next_start),
        next_end=to_datetime(row.next_end),
        next_report_at=None if row.paused else to_datetime(row.next_end + row.delay),
        last_report_id=schedule_store.find_last_report(tx, row.id),
        created_by=row.created_by,
        created_at=to_datetime(row.created_at),
        updated_at=to_datetime(row.updated_at),
    )


def _get(tx: Connection, number: int, *, lock: bool = False) -> ScheduleRow:
    row = schedule_store.find_schedule(tx, number, lock=lock)
    if row is None:
        msg = f"there is no schedule {number}"
        raise ScheduleNotFoundError(msg)
    return row


def _taken(new: ScheduleIn) -> ScheduleExistsError:
    return ScheduleExistsError(f"there is another schedule with the name {new.name!r}")
