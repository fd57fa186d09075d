"""The job that makes a report."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.grid import components, intake, jobs, reports
from signalbox.grid.jobs import ReportJob, build_kinds
from signalbox.grid.kinds import check
from signalbox.grid.models import chunk
from signalbox.grid.schemas import NewReading, NewReport, ReportDetail
from signalbox.infra.context import Context
from signalbox.infra.jobs import Done, Fail, Job
from tests.grid.conftest import LINE
from tests.grid.test_intake import NOW, reading

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


async def test_progress_is_written_while_it_is_made(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await ordered(context)
    await context.db.write(reports.begin, number, run=1)
    monkeypatch.setattr(jobs, "PACE", 0.01)
    job = ReportJob(context)
    async with job._following(number, 1) as told:
        told(0.25)
        async with asyncio.timeout(10):
            while (await shown(context, number)).progress != 0.25:
                await asyncio.sleep(0.01)


async def test_two_reports_at_once(context: Context) -> None:
    kinds: Any = build_kinds(context)
    assert kinds[reports.KIND].concurrency == 2
