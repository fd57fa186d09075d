"""What can be done with reports."""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from signalbox.auth import audit
from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import to_datetime
from signalbox.grid import report_store
from signalbox.grid.errors import ReportNotFoundError, ReportUnfinishedError
from signalbox.grid.periods import find_zone, parse_period
from signalbox.grid.report_store import ReportRow
from signalbox.grid.schedule_periods import Period
from signalbox.grid.schemas import NewReport, ReportDetail, ReportOut, ReportStatus
from signalbox.infra.events import Event, Severity, StoredEvent, publish
from signalbox.infra.jobs import enqueue, is_live

KIND: Final = "grid.report"
MAX_ATTEMPTS: Final = 5
ENDED: Final = frozenset({"completed", "failed"})


def order(tx: Connection, new: NewReport, *, by: str, now: int, request_id: str | None = None) -> ReportOut:
    """Have a report made, as somebody wants it now.

    Raises:
        UnprocessableError: its period or its zone is none.
    """
    period = Period(*parse_period(new.start_date, new.end_date, find_zone(new.timezone)))
    made = order_period(tx, period, timezone=new.timezone, name=new.name, by=by, now=now)
    _audit(tx, "report.order", None, _get(tx, made.id), by=by, now=now, request_id=request_id)
    return made


def order_period(
    tx: Connection, period: Period, *, timezone: str, name: str | None, by: str, now: int, schedule: int | None = None
) -> ReportOut:
    """Have a report made of a period that is known to be one; ``schedule`` says which schedule wants it.

    The audit trail does not hear of it: what a schedule orders is nobody's doing.
    """
    number = report_store.add_report(
        tx,
        {
            "name": name,
            "start_at": period.start,
            "end_at": period.end,
            "timezone": timezone,
            "status": "pending",
            "run": 1,
            "progress": 0.0,
            "created_by": by,
            "created_at": now,
            "schedule_id": schedule,
        },
    )
    _enqueue(tx, number, 1, now)
    return to_out(_get(tx, number))


def show(tx: Connection, number: int) -> ReportDetail:
    """One report, with what it says.

    Raises:
        ReportNotFoundError: there is none with this id.
    """
    row = _get(tx, number)
    return ReportDetail(**_shown(row), result=None if row.result is None else msgspec.json.decode(row.result))


def list_reports(
    tx: Connection, *, status: ReportStatus | None = None, limit: int, cursor: str | None = None
) -> Page[ReportOut]:
    """One page of the reports, newest first, without what they say.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    found = report_store.find_reports(tx, status=status, before=before, limit=limit + 1)
    page = to_page(found, limit, lambda row: row.id)
    return Page([to_out(row) for row in page.items], page.next_cursor)


def delete(tx: Connection, number: int, *, by: str, now: int, request_id: str | None = None) -> None:
    """Delete a report; if it is being made, nothing comes of that.

    Raises:
        ReportNotFoundError: there is none with this id.
    """
    row = _get(tx, number, lock=True)
    report_store.delete_report(tx, number)
    _audit(tx, "report.delete", row, None, by=by, now=now, request_id=request_id)


def rerun(tx: Connection, number: int, *, by: str, now: int, request_id: str | None = None) -> ReportOut:
    """Make a report anew, of what is measured by now.

    Raises:
        ReportNotFoundError: there is none with this id.
        ReportUnfinishedError: it has not ended.
    """
    row = _get(tx, number, lock=True)
    if row.status not in ENDED:
        msg = f"report {number} is {row.status}; it can be made anew once it has ended"
        raise ReportUnfinishedError(msg)
    report_store.restart_report(tx, number, run=row.run + 1)
    _enqueue(tx, number, row.run + 1, now)
    after = _get(tx, number)
    _audit(tx, "report.rerun", row, after, by=by, now=now, request_id=request_id)
    return to_out(after)


def begin(tx: Connection, number: int, *, run: int) -> ReportRow | None:
    """Mark a report as being made; None where that is not wanted any more."""
    if not report_store.change_report(tx, number, {"status": "running"}, run=run):
        return None
    return _get(tx, number)


def note_progress(tx: Connection, number: int, *, run: int, progress: float) -> None:
    """Say how much of a report is done, from 0 to 1."""
    report_store.change_report(tx, number, {"progress": progress}, run=run)


def complete(tx: Connection, number: int, result: dict[str, Any], *, run: int, now: int) -> None:
    """Keep what a report says, and tell of it; nothing, where it is gone or was begun anew meanwhile."""
    values = {"status": "completed", "progress": 1.0, "result": msgspec.json.encode(result).decode(), "ended_at": now}
    if report_store.change_report(tx, number, values, run=run):
        _tell(tx, "report.completed", number, run, now)


def fail(tx: Connection, number: int, error: str, *, run: int, now: int) -> None:
    """Give a report up, and tell of it; nothing, where it is gone or was begun anew meanwhile."""
    values = {"status": "failed", "error": error, "ended_at": now}
    if report_store.change_report(tx, number, values, run=run):
        _tell(tx, "report.failed", number, run, now)


def follow_job(tx: Connection, event: StoredEvent, now: int) -> None:
    """Give a report up whose job has died, as when each of its workers was killed, or was cancelled."""
    key = event.data["key"]
    if event.data["kind"] == KIND and key and not is_live(tx, KIND, key):
        _, number, run = key.split("/")
        fail(tx, int(number), str(event.data["error"]), run=int(run), now=now)


def to_out(row: ReportRow) -> ReportOut:
    """A report as it is listed."""
    return ReportOut(**_shown(row))


def _shown(row: ReportRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "start_date": to_datetime(row.start_at),
        "end_date": to_datetime(row.end_at),
        "timezone": row.timezone,
        "status": row.status,
        "progress": row.progress,
        "error": row.error,
        "created_by": row.created_by,
        "created_at": to_datetime(row.created_at),
        "ended_at": None if row.ended_at is None else to_datetime(row.ended_at),
        "schedule_id": row.schedule_id,
    }


def _enqueue(tx: Connection, number: int, run: int, now: int) -> None:
    payload = {"report": number, "run": run}
    enqueue(tx, KIND, payload, now=now, key=f"report/{number}/{run}", max_attempts=MAX_ATTEMPTS)


def _tell(tx: Connection, topic: str, number: int, run: int, now: int) -> None:
    row = _get(tx, number)
    data = {"report": number, "name": row.name, "created_by": row.created_by, "error": row.error}
    severity: Severity = "error" if topic == "report.failed" else "info"
    publish(tx, Event(topic, data, severity, dedup_key=f"{topic}/{number}/{run}"), now=now)


def _audit(
    tx: Connection,
    action: str,
    before: ReportRow | None,
    after: ReportRow | None,
    *,
    by: str,
    now: int,
    request_id: str | None,
) -> None:
    said = [None if row is None else {**row._asdict(), "result": None} for row in (before, after)]
    target = f"report:{next(row.id for row in (before, after) if row is not None)}"
    audit.record(
        tx, actor=by, action=action, target=target, before=said[0], after=said[1], at=now, request_id=request_id
    )


def _get(tx: Connection, number: int, *, lock: bool = False) -> ReportRow:
    row = report_store.find_report(tx, number, lock=lock)
    if row is None:
        raise _missing(number)
    return row


def _missing(number: int) -> ReportNotFoundError:
    return ReportNotFoundError(f"there is no report {number}")
