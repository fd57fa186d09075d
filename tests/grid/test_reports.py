"""What can be done with reports."""

from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.auth import audit
from signalbox.auth.audit import AuditFilter
from signalbox.core.errors import UnprocessableError
from signalbox.grid import reports
from signalbox.grid.errors import ReportNotFoundError, ReportUnfinishedError
from signalbox.grid.schemas import NewReport
from signalbox.infra.events import StoredEvent, find_events
from signalbox.infra.jobs import cancel, find_jobs
from tests.grid.test_intake import NOW

JANUARY = NewReport("2026-01-01", "2026-02-01", "Europe/Berlin", "January")
RESULT: dict[str, Any] = {"daily_averages": []}


def topics(tx: sa.Connection) -> list[str]:
    return [event.topic for event in find_events(tx, limit=50)]


def test_an_ordered_report_waits_with_its_job(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        made = reports.order(tx, JANUARY, by="user:anna", now=NOW)
        assert (made.status, made.progress, made.created_by, made.name) == ("pending", 0.0, "user:anna", "January")
        assert made.start_date.isoformat() == "2025-12-31T23:00:00+00:00"
        (job,) = find_jobs(tx, limit=5)
        assert job.payload == {"report": made.id, "run": 1}
        assert reports.show(tx, made.id).result is None
        assert reports.list_reports(tx, limit=5).items == [made]
        assert reports.list_reports(tx, status="failed", limit=5).items == []


def test_one_result_is_kept_and_told_of(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = reports.order(tx, JANUARY, by="test", now=NOW).id
        assert reports.begin(tx, number, run=1) is not None
        assert reports.begin(tx, number, run=1) is not None, "of a worker that was killed another takes over"
        reports.note_progress(tx, number, run=1, progress=0.5)
        assert reports.show(tx, number).progress == 0.5
        reports.complete(tx, number, RESULT, run=1, now=NOW)
        reports.complete(tx, number, {"other": 1}, run=1, now=NOW)
        reports.fail(tx, number, "late", run=1, now=NOW)
        shown = reports.show(tx, number)
        assert (shown.status, shown.result, shown.error, shown.progress) == ("completed", RESULT, None, 1.0)
        assert topics(tx) == ["report.completed"]
        assert reports.begin(tx, number, run=1) is None


def test_a_report_is_made_anew_once_it_has_ended(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = reports.order(tx, JANUARY, by="test", now=NOW).id
        with pytest.raises(ReportUnfinishedError):
            reports.rerun(tx, number, by="test", now=NOW)
        reports.fail(tx, number, "broken", run=1, now=NOW)
        assert reports.show(tx, number).error == "broken"
        again = reports.rerun(tx, number, by="test", now=NOW)
        assert (again.status, again.error, again.ended_at) == ("pending", None, None)
        reports.complete(tx, number, {"old": 1}, run=1, now=NOW)
        assert reports.show(tx, number).status == "pending", "a job of the first run is too late"
        reports.complete(tx, number, RESULT, run=2, now=NOW)
        assert reports.show(tx, number).result == RESULT
        assert topics(tx) == ["report.completed", "report.failed"]


def test_a_deleted_report_stays_away(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = reports.order(tx, JANUARY, by="test", now=NOW).id
        reports.delete(tx, number, by="user:eve", now=NOW, request_id="r1")
        reports.complete(tx, number, RESULT, run=1, now=NOW)
        with pytest.raises(ReportNotFoundError):
            reports.show(tx, number)
        with pytest.raises(ReportNotFoundError):
            reports.delete(tx, number, by="test", now=NOW)
        with pytest.raises(ReportNotFoundError):
            reports.rerun(tx, number, by="test", now=NOW)


def test_who_orders_a_report_deletes_it_or_makes_it_anew_is_written_down(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = reports.order(tx, JANUARY, by="user:bob", now=NOW, request_id="r0").id
        reports.fail(tx, number, "broken", run=1, now=NOW)
        reports.rerun(tx, number, by="user:anna", now=NOW, request_id="r1")
        reports.delete(tx, number, by="user:eve", now=NOW, request_id="r2")
        entries = audit.list_entries(tx, wanted=AuditFilter(target=f"report:{number}"), limit=5)
        assert [(each.actor, each.action, each.request_id) for each in entries] == [
            ("user:eve", "report.delete", "r2"),
            ("user:anna", "report.rerun", "r1"),
            ("user:bob", "report.order", "r0"),
        ]
        assert [each.before["status"] for each in entries if each.before] == ["pending", "failed"]
        assert (entries[0].after, (entries[1].after or {})["run"], entries[2].before) == (None, 2, None)


@pytest.mark.parametrize("topic", ["job.dead", "job.cancelled"])
def test_a_report_whose_job_has_ended_without_it_has_failed_and_can_be_made_anew(engine: sa.Engine, topic: str) -> None:
    with engine.connect() as tx:
        number = reports.order(tx, JANUARY, by="test", now=NOW).id
        key = f"report/{number}/1"
        reports.follow_job(tx, ended(topic, "grid.report", key), NOW)
        assert reports.show(tx, number).status == "pending", "its job is alive: it was made to run again"
        (job,) = find_jobs(tx, kind="grid.report", limit=9)
        cancel(tx, job.id, now=NOW)
        for kind, other in (("tasks.tend", None), ("grid.report", f"report/{number}/2"), ("grid.report", None)):
            reports.follow_job(tx, ended(topic, kind, other), NOW)
        assert reports.show(tx, number).status == "pending"
        reports.follow_job(tx, ended(topic, "grid.report", key), NOW)
        assert (reports.show(tx, number).status, reports.show(tx, number).error) == ("failed", "it ended")
        assert reports.rerun(tx, number, by="test", now=NOW).status == "pending"
        reports.follow_job(tx, ended(topic, "grid.report", key), NOW)
        assert reports.show(tx, number).status == "pending", "an event of the run before is too late"


def ended(topic: str, kind: str, key: str | None) -> StoredEvent:
    data = {"id": 1, "kind": kind, "key": key, "attempts": 5, "error": "it ended"}
    return StoredEvent(id=1, topic=topic, severity="error", dedup_key=None, data=data, created_at=NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        NewReport("2026-01-02", "2026-01-01"),
        NewReport("2026-01-01", "2026-01-01"),
        NewReport("x", "2026-01-01"),
        NewReport("2026-01-01", "2026-02-01", "Europe/Bärlin"),
        NewReport("2026-01-01", "2026-02-01", "../etc/passwd"),
        NewReport("0001-01-01", "2026-01-01"),
    ],
)
def test_periods_that_are_none_are_refused(engine: sa.Engine, wrong: NewReport) -> None:
    with engine.connect() as tx, pytest.raises(UnprocessableError):
        reports.order(tx, wrong, by="test", now=NOW)
