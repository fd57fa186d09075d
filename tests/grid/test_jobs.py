"""The job that makes a report."""

import asyncio
import threading
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from signalbox.grid import components, intake, report, report_schedules, reports, rule_watch, rules
from signalbox.grid.jobs import ReportJob, build_kinds, build_schedules
from signalbox.grid.kinds import check
from signalbox.grid.models import chunk
from signalbox.grid.schemas import NewReading, NewReport, ReportDetail, ScheduleIn, ThresholdRuleIn
from signalbox.grid.settings import GridSettings
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.jobs import Done, Fail, Job, find_jobs
from tests.grid.conftest import LINE
from tests.grid.test_intake import NOW, reading
from tests.support.timing import PATIENCE

PERIOD = NewReport("1969-12-30T01:00:30Z", "1970-01-02")


async def ordered(context: Context) -> int:
    def prepare(tx: sa.Connection) -> int:
        number = components.add(tx, check(LINE), by="test", now=NOW).id
        rows: list[NewReading | str] = [reading(number, minute) for minute in range(3_000)]
        intake.accept_many(tx, rows, now=NOW)
        return reports.order(tx, PERIOD, by="test", now=NOW).id

    return await context.db.write(prepare)


def claimed(report: int, *, attempt: int = 1, run: int = 1) -> Job:
    payload = {"report": report, "run": run}
    return Job(1, reports.KIND, payload, attempt, 5, 1, 2**60, 0, 0, None, 0, 2**60, None)


async def shown(context: Context, report: int) -> ReportDetail:
    return await context.db.read(reports.show, report)


async def finish(context: Context, outcome: Done | Fail) -> None:
    assert outcome.then is not None
    await context.db.write(outcome.then)


async def test_a_report_is_made_and_kept_with_its_job(context: Context) -> None:
    number = await ordered(context)
    job = ReportJob(context)
    first, second = await asyncio.gather(*(job.handle(claimed(number)) for _ in range(2)))
    assert (await shown(context, number)).status == "running"
    for outcome in (first, second):
        await finish(context, outcome)
    found = await shown(context, number)
    assert found.result is not None
    assert (found.status, found.result["provenance"]["readings"]) == ("completed", 3_000 - 61)
    assert await job.handle(claimed(number)) == Done()


async def test_a_report_that_cannot_be_made_has_failed_at_last(context: Context) -> None:
    number = await ordered(context)
    await context.db.write(lambda tx: tx.execute(sa.update(chunk).values(data=b"x")))
    job = ReportJob(context)
    with pytest.raises(Exception, match="cut off"):
        await job.handle(claimed(number))
    await finish(context, await job.handle(claimed(number, attempt=5)))
    found = await shown(context, number)
    assert (found.status, found.error) == ("failed", "it could not be made: BrokenChunkError")


async def test_progress_is_written_while_it_is_made(context: Context) -> None:
    number = await ordered(context)
    await context.db.write(reports.begin, number, run=1)
    job = ReportJob(context, pace=0.01)
    async with job._following(number, 1) as told:
        told(0.25)
        async with asyncio.timeout(PATIENCE):
            while (await shown(context, number)).progress != 0.25:
                await asyncio.sleep(0.01)


async def make(context: Context, number: int, *, run: int = 1) -> ReportDetail:
    await finish(context, await ReportJob(context).handle(claimed(number, run=run)))
    return await shown(context, number)


async def test_late_readings_change_the_next_report_and_never_a_finished_one(context: Context) -> None:
    first = await make(context, number := await ordered(context))
    late = [reading(1, minute + 0.5) for minute in range(100, 110)]
    await context.db.write(intake.accept_many, late, now=NOW)
    assert await shown(context, number) == first
    other = (await context.db.write(reports.order, PERIOD, by="test", now=NOW)).id
    results = [(await make(context, other)).result, first.result]
    readings = [result["provenance"]["readings"] for result in results if result is not None]
    assert readings == [3_000 - 61 + 10, 3_000 - 61]


async def test_a_report_that_is_being_made_sees_one_snapshot(context: Context) -> None:
    row = await context.db.write(reports.begin, await ordered(context), run=1)
    assert row is not None
    reached, go = threading.Event(), threading.Event()

    def hold(_share: float) -> None:
        reached.set()
        assert go.wait(30)

    making = asyncio.create_task(
        context.db.read(report.build, row.start_at, row.end_at, ZoneInfo("UTC"), progress=hold)
    )
    assert await asyncio.to_thread(reached.wait, 30)
    added = await context.db.write(components.add, check({**LINE, "name": "new"}), by="test", now=NOW)
    new = [reading(number, minute + 0.5) for number in (1, added.id) for minute in range(2_500, 2_900)]
    await context.db.write(intake.accept_many, new, now=NOW)
    go.set()
    made = await making
    assert made["provenance"]["readings"] == 3_000 - 61
    assert made["summary"]["components_by_type"] == [{"component_type": "LINE", "count": 1}]


def test_as_many_reports_at_once_as_set(context: Context) -> None:
    kinds = build_kinds(context, GridSettings(report_concurrency=3))
    assert kinds[reports.KIND].concurrency == 3
    assert kinds[rule_watch.KIND].concurrency == 1, "each is alone in the database anyway"


async def test_all_reports_that_are_due_are_ordered(context: Context, clock: ManualClock) -> None:
    for name in ("a", "b"):
        new = ScheduleIn(name=name, every="day")
        await context.db.write(report_schedules.add, new, limit=2, by="test", now=clock.now())
    clock.advance(3 * 86_400)
    handle = build_kinds(context, GridSettings(schedule_catch_up=2))[report_schedules.KIND].handle
    (schedule,) = build_schedules()
    assert schedule.kind == report_schedules.KIND
    for _ in range(2):
        await handle(Job(1, report_schedules.KIND, {}, 1, 5, 1, 2**60, 0, 0, None, 0, 2**60, None))
    page = await context.db.read(reports.list_reports, limit=10)
    assert len(page.items) == 4, "two of each"


async def test_readings_are_held_against_rules(context: Context, clock: ManualClock) -> None:
    def prepare(tx: sa.Connection) -> None:
        number = components.add(tx, check(LINE), by="test", now=NOW).id
        rule = ThresholdRuleIn(name="r", measurement_type="POWER", comparison=">", bound=55)
        rules.add(tx, rule, limit=1, by="test", now=NOW)
        intake.accept(tx, reading(number, 0, 56.0), now=NOW)

    await context.db.write(prepare)
    handle = build_kinds(context, GridSettings())[rule_watch.KIND].handle
    assert len(await context.db.read(find_jobs, kind=rule_watch.KIND, limit=5)) == 1
    await handle(Job(1, rule_watch.KIND, {}, 1, 5, 1, 2**60, 0, 0, None, 0, 2**60, None))
    assert len(await context.db.read(rules.list_crossings, limit=5)) == 1
