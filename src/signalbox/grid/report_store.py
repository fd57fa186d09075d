"""Queries about reports."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, insert, literal, select, update

from signalbox.grid.models import report
from signalbox.grid.schemas import ReportStatus

_r = report.c


class ReportRow(NamedTuple):
    """A report as it is kept."""

    id: int
    name: str | None
    start_at: int
    end_at: int
    timezone: str
    status: ReportStatus
    run: int
    progress: float
    error: str | None
    created_by: str
    created_at: int
    ended_at: int | None
    schedule_id: int | None
    result: str | None
    """JSON; None in lists."""


_COLUMNS: Final = [_r[name] for name in ReportRow._fields if name != "result"]


def add_report(tx: Connection, values: Mapping[str, Any]) -> int:
    """Add a report; its id."""
    made: int = tx.execute(insert(report).returning(_r.id), dict(values)).scalar_one()
    return made


def find_report(tx: Connection, number: int, *, lock: bool = False) -> ReportRow | None:
    """One report; with ``lock`` nobody else changes it until ``tx`` ends."""
    query = select(*_COLUMNS, _r.result).where(_r.id == number)
    row = tx.execute(query.with_for_update() if lock and tx.dialect.name == "postgresql" else query).first()
    return None if row is None else ReportRow._make(row)


def find_reports(
    tx: Connection, *, status: ReportStatus | None = None, before: int | None = None, limit: int
) -> list[ReportRow]:
    """Reports with ids below ``before``, newest first, at most ``limit``; without what they say."""
    query = select(*_COLUMNS, literal(None)).order_by(_r.id.desc()).limit(limit)
    if status is not None:
        query = query.where(_r.status == status)
    if before is not None:
        query = query.where(_r.id < before)
    return [ReportRow._make(row) for row in tx.execute(query)]


def change_report(tx: Connection, number: int, values: Mapping[str, Any], *, run: int) -> bool:
    """Set columns of a report that has not ended; False where it has, is gone, or was begun anew."""
    open_ = _r.status.in_(["pending", "running"])
    changed = update(report).where(_r.id == number, _r.run == run, open_).values(dict(values))
    return tx.execute(changed).rowcount > 0


def restart_report(tx: Connection, number: int, *, run: int) -> None:
    """Have a report that has ended wait again, for this run."""
    fresh = {"status": "pending", "run": run, "progress": 0.0, "error": None, "result": None, "ended_at": None}
    tx.execute(update(report).where(_r.id == number).values(fresh))


def delete_report(tx: Connection, number: int) -> bool:
    """Delete a report; False where there is none."""
    return tx.execute(delete(report).where(_r.id == number)).rowcount > 0
