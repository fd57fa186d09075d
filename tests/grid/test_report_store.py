"""Queries about reports."""

from typing import Any

import sqlalchemy as sa

from signalbox.grid import report_store

VALUES: dict[str, Any] = {
    "start_at": 0,
    "end_at": 1,
    "timezone": "UTC",
    "status": "pending",
    "run": 1,
    "progress": 0.0,
    "created_by": "test",
    "created_at": 0,
}


def test_reports_are_changed_until_they_have_ended(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = report_store.add_report(tx, VALUES)
        assert not report_store.change_report(tx, number, {"status": "running"}, run=2)
        assert report_store.change_report(tx, number, {"status": "completed", "result": "{}"}, run=1)
        assert not report_store.change_report(tx, number, {"status": "failed"}, run=1)
        found = report_store.find_report(tx, number, lock=True)
        assert found is not None
        assert (found.status, found.result) == ("completed", "{}")
        report_store.restart_report(tx, number, run=2)
        again = report_store.find_report(tx, number)
        assert again is not None
        assert (again.status, again.run, again.result) == ("pending", 2, None)


def test_lists_are_newest_first_without_results(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        numbers = [report_store.add_report(tx, {**VALUES, "result": "{}"}) for _ in range(3)]
        assert [row.id for row in report_store.find_reports(tx, before=numbers[2], limit=5)] == numbers[1::-1]
        assert [row.result for row in report_store.find_reports(tx, status="pending", limit=1)] == [None]
        assert report_store.find_reports(tx, status="failed", limit=1) == []
        assert [report_store.delete_report(tx, numbers[0]) for _ in range(2)] == [True, False]
        assert report_store.find_report(tx, numbers[0]) is None
