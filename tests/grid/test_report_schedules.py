"""Schedules of reports."""

import itertools
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.auth import audit
from signalbox.auth.audit import AuditFilter
from signalbox.core.errors import UnprocessableError
from signalbox.core.times import DAY, HOUR, MINUTE, to_micros
from signalbox.grid import report_schedules, reports
from signalbox.grid.errors import ScheduleExistsError, ScheduleNotFoundError, TooManyKeptError
from signalbox.grid.models import schedule
from signalbox.grid.report_schedules import order_due
from signalbox.grid.schemas import ReportOut, ScheduleIn
from signalbox.infra.events import find_events
from tests.grid.test_intake import NOW
from tests.grid.test_periods import at
from tests.support.databases import Place

DAILY = ScheduleIn(name="Feeders", every="day", timezone="Europe/Berlin")


def add(tx: sa.Connection, new: ScheduleIn = DAILY, *, now: int = NOW, limit: int = 5) -> int:
    return report_schedules.add(tx, new, limit=limit, by="user:anna", now=now).id


def made(tx: sa.Connection) -> list[ReportOut]:
    """Oldest first."""
    return reports.list_reports(tx, limit=500).items[::-1]


def run(tx: sa.Connection, now: int, *, catch_up: int = 31) -> list[ReportOut]:
    while order_due(tx, catch_up=catch_up, now=now):
        pass
    return made(tx)


def test_a_report_is_of_the_day_that_has_ended_and_named_after_it(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = add(tx, now=at("2026-03-29T12:00Z"))
        shown = report_schedules.show(tx, number)
        assert to_micros(shown.next_end) == at("2026-03-29T22:00Z")
        assert shown.next_report_at == shown.next_end
        assert run(tx, at("2026-03-29T21:59Z")) == []
        (report,) = run(tx, at("2026-03-29T22:00Z"))
        assert (report.name, report.timezone, report.status) == ("Feeders 2026-03-29", "Europe/Berlin", "pending")
        assert to_micros(report.end_date) - to_micros(report.start_date) == 23 * HOUR, "clocks went forward"
        assert (report.schedule_id, report.created_by) == (number, "hub")
        assert report_schedules.show(tx, number).last_report_id == report.id
        assert len(run(tx, at("2026-03-29T23:00Z"))) == 1, "once"


@pytest.mark.parametrize(
    ("every", "names"),
    [
        ("day", ["S 2026-10-24", "S 2026-10-25", "S 2026-10-26"]),
        ("week", ["S 2026-W43"]),
        ("month", []),
    ],
)
def test_adjacent_periods_are_made_up_for(engine: sa.Engine, every: Any, names: list[str]) -> None:
    with engine.connect() as tx:
        new = ScheduleIn(name="S", every=every, timezone="Europe/Berlin")
        add(tx, new, now=at("2026-10-24T12:00Z"))
        found = run(tx, at("2026-10-27T12:00Z"))
        assert [each.name for each in found] == names
        for one, other in itertools.pairwise(found):
            assert one.end_date == other.start_date


def test_of_a_long_absence_the_last_periods_are_made_up_for_and_the_others_told_of(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = add(tx, ScheduleIn(name="S", every="day"), now=at("2026-01-01T12:00Z"))
        found = run(tx, at("2026-01-11T12:00Z"), catch_up=3)
        assert [each.name for each in found] == ["S 2026-01-08", "S 2026-01-09", "S 2026-01-10"]
        (event,) = find_events(tx, topic="report.skipped", limit=5)
        assert (event.severity, event.data["schedule"], event.data["skipped"]) == ("warning", number, 7)
        assert event.data["start"].startswith("2026-01-01T00:00")
        assert event.data["end"].startswith("2026-01-08T00:00")


def test_a_report_waits_for_readings_that_come_late(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        add(tx, ScheduleIn(name="S", every="day", delay_minutes=30), now=at("2026-01-01T12:00Z"))
        assert run(tx, at("2026-01-02T00:29Z")) == []
        assert len(run(tx, at("2026-01-02T00:30Z"))) == 1


def test_a_schedule_that_cannot_be_followed_holds_up_no_other(engine: sa.Engine) -> None:
    """As where the machine knows less time zones than the one on which it was added."""
    with engine.connect() as tx:
        for name in ("A", "B", "C"):
            add(tx, ScheduleIn(name=name, every="day"), now=at("2026-01-01T12:00Z"))
        for name, zone in (("A", "Mars/Olympus"), ("B", "Mars/Tharsis")):
            tx.execute(sa.update(schedule).where(schedule.c.name == name).values(timezone=zone))
        for minute in range(2):
            assert [each.name for each in run(tx, at(f"2026-01-02T00:0{minute}Z"))] == ["C 2026-01-01"]
        events = find_events(tx, topic=report_schedules.FAILED, limit=5)
        assert [(each.severity, each.data["name"]) for each in events] == [("error", "B"), ("error", "A")], "once a day"
        assert events[1].data["timezone"] == "Mars/Olympus"
        assert events[1].data["reason"].startswith("UnprocessableError: ")
        tx.execute(sa.update(schedule).values(timezone="UTC"))
        names = [each.name for each in run(tx, at("2026-01-03T00:00Z"))]
        assert names == ["C 2026-01-01", *(f"{name} 2026-01-0{day}" for name, day in ("A1", "A2", "B1", "B2", "C2"))]


def test_after_a_pause_it_goes_on_with_the_period_that_runs(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = add(tx, ScheduleIn(name="S", every="day"), now=at("2026-01-01T12:00Z"))
        report_schedules.change(tx, number, {"paused": True}, by="test", now=at("2026-01-01T13:00Z"))
        assert report_schedules.show(tx, number).next_report_at is None
        assert run(tx, at("2026-01-05T12:00Z")) == []
        report_schedules.change(tx, number, {"paused": False}, by="test", now=at("2026-01-05T12:00Z"))
        assert [each.name for each in run(tx, at("2026-01-06T00:00Z"))] == ["S 2026-01-05"]


def test_a_change_of_its_name_or_delay_skips_nothing(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = add(tx, ScheduleIn(name="S", every="day"), now=at("2026-01-01T12:00Z"))
        changed = {"name": "T", "delay_minutes": 1}
        report_schedules.change(tx, number, changed, by="test", now=at("2026-01-02T12:00Z"))
        assert [each.name for each in run(tx, at("2026-01-02T12:00Z"))] == ["T 2026-01-01"]
        report_schedules.change(tx, number, {"every": "month"}, by="test", now=at("2026-01-02T12:00Z"))
        assert to_micros(report_schedules.show(tx, number).next_end) == at("2026-02-01T00:00Z")


def test_what_is_wrong_is_refused(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = add(tx)
        tx.commit()
        with pytest.raises(UnprocessableError, match="timezone"):
            add(tx, ScheduleIn(name="x", every="day", timezone="Mars"))
        with pytest.raises(ScheduleExistsError):
            add(tx)
        tx.rollback()
        other = add(tx, ScheduleIn(name="x", every="day"))
        tx.commit()
        with pytest.raises(ScheduleExistsError):
            report_schedules.change(tx, other, {"name": "Feeders"}, by="test", now=NOW)
        tx.rollback()
        with pytest.raises(TooManyKeptError, match="max_schedules"):
            add(tx, ScheduleIn(name="y", every="day"), limit=2)
        report_schedules.delete(tx, number, by="test", now=NOW)
        for use in (report_schedules.show, lambda tx, number: report_schedules.delete(tx, number, by="x", now=NOW)):
            with pytest.raises(ScheduleNotFoundError):
                use(tx, number)


def test_changes_are_written_down_and_reports_stay(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        number = add(tx)
        report_schedules.change(tx, number, {"every": "week"}, by="user:eve", now=NOW + MINUTE, request_id="r")
        run(tx, NOW + 9 * DAY)
        report_schedules.delete(tx, number, by="user:eve", now=NOW)
        assert len(made(tx)) == 1
        assert report_schedules.list_schedules(tx, limit=5).items == []
        entries = audit.list_entries(tx, wanted=AuditFilter(target=f"report_schedule:{number}"), limit=5)
        assert [(each.action.rpartition(".")[2], each.actor) for each in entries] == [
            ("delete", "user:eve"),
            ("change", "user:eve"),
            ("create", "user:anna"),
        ]
        assert [(each.before or {}).get("every") for each in entries] == ["week", "day", None]


def test_however_many_processes_ask_each_period_has_one_report(place: Place) -> None:
    engines = [place.engine() for _ in range(4)]
    with engines[0].begin() as tx:
        for number in range(4):
            add(tx, ScheduleIn(name=f"S{number}", every="day"), now=at("2026-01-01T12:00Z"))
    barrier = threading.Barrier(4)

    def work(engine: sa.Engine) -> None:
        barrier.wait()
        while True:
            with engine.connect() as tx, tx.begin():
                if place.dialect == "sqlite":
                    tx.exec_driver_sql("DELETE FROM grid_chunk WHERE 0")  # a writer from its first statement on
                if not order_due(tx, catch_up=31, now=at("2026-01-04T12:00Z")):
                    return

    threads = [threading.Thread(target=work, args=[engine]) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engines[0].connect() as tx:
        names = [str(each.name) for each in made(tx)]
    assert sorted(names) == [f"S{number} 2026-01-0{day}" for number in range(4) for day in (1, 2, 3)]
    for engine in engines:
        engine.dispose()
