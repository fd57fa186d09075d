"""The jobs of the grid: make a report, order those of schedules, hold new readings against threshold rules."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from signalbox.core.errors import UnavailableError
from signalbox.core.times import MICROSECONDS, MINUTE
from signalbox.grid import report, report_schedules, reports, rule_watch
from signalbox.grid.settings import GridSettings
from signalbox.infra.context import Context
from signalbox.infra.jobs import Backoff, Done, Fail, Job, Kind, Schedule, every

PACE: Final = 0.5
"""Seconds between two looks at how much of a report is done."""

FOLLOWERS: Final = 1
"""Jobs that hold readings against rules, of one process at once. Each is alone in the database, and takes what all noted."""

_log = logging.getLogger(__name__)


class ReportJob:
    """Makes reports. A worker that dies leaves nothing: another begins from the start, and one result is kept."""

    def __init__(self, context: Context, *, pace: float = PACE) -> None:
        self._context, self._pace = context, pace

    async def handle(self, job: Job) -> Done | Fail:
        """Make one report."""
        try:
            return await self._make(job)
        except UnavailableError:
            raise  # it is tried again, for a day if need be
        except Exception as error:
            if not job.is_last_attempt:
                raise
            _log.exception("a report is given up", extra={"report": job.payload["report"]})
            said = f"it could not be made: {type(error).__name__}"
            number, run, now = job.payload["report"], job.payload["run"], self._context.clock.now()
            return Fail(said, lambda tx: reports.fail(tx, number, said, run=run, now=now))

    async def _make(self, job: Job) -> Done:
        number, run, clock, db = job.payload["report"], job.payload["run"], self._context.clock, self._context.db
        row = await db.write(reports.begin, number, run=run)
        if row is None:
            return Done()
        begun = clock.now()
        async with self._following(number, run) as told:
            result = await db.read(report.build, row.start_at, row.end_at, ZoneInfo(row.timezone), progress=told)
        now = clock.now()
        result["provenance"]["duration_ms"] = (now - begun) * 1000 // MICROSECONDS

        def complete(tx: Connection) -> None:
            reports.complete(tx, number, result, run=run, now=now)

        return Done(complete)

    @contextlib.asynccontextmanager
    async def _following(self, number: int, run: int) -> AsyncIterator[report.Progress]:
        """Write down now and then what is told of the progress."""
        shares = [0.0]
        task = asyncio.create_task(self._follow(number, run, shares))
        try:
            yield shares.append  # from the thread of the read; appending to a list is safe there
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, number: int, run: int, shares: list[float]) -> None:
        written = 0.0
        while True:
            await asyncio.sleep(self._pace)
            share = max(shares)
            del shares[:-1]
            if share > written:
                written = share
                await self._context.db.write(reports.note_progress, number, run=run, progress=share)


def build_kinds(context: Context, settings: GridSettings) -> Mapping[str, Kind]:
    """How a worker runs the jobs of the grid."""
    db, clock = context.db, context.clock

    async def order_due(_job: Job) -> Done:
        while await db.write(report_schedules.order_due, catch_up=settings.schedule_catch_up, now=clock.now()):
            pass
        return Done()

    async def follow(_job: Job) -> Done:
        while await db.write(rule_watch.follow, now=clock.now()):
            pass
        return Done()

    backoff = Backoff(MICROSECONDS, MINUTE)
    return {
        reports.KIND: Kind(ReportJob(context).handle, concurrency=settings.report_concurrency, backoff=backoff),
        report_schedules.KIND: Kind(order_due, concurrency=1),
        rule_watch.KIND: Kind(follow, concurrency=FOLLOWERS, backoff=backoff),
    }


def build_schedules() -> list[Schedule]:
    """When it is looked for reports of schedules that are due; how late they may be."""
    return [every("grid.schedules", report_schedules.KIND, MINUTE)]
