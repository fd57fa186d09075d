"""The job of the grid: makes a report."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from signalbox.core.errors import UnavailableError
from signalbox.core.times import MICROSECONDS
from signalbox.grid import report, reports
from signalbox.infra.context import Context
from signalbox.infra.jobs import Backoff, Done, Fail, Job, Kind

PACE: Final = 0.5
"""Seconds between two looks at how much is done."""

_log = logging.getLogger(__name__)


class ReportJob:
    """Makes reports. A worker that dies leaves nothing: another begins from the start, and one result is kept."""

    def __init__(self, context: Context) -> None:
        self._context = context

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
            await asyncio.sleep(PACE)
            share = max(shares)
            del shares[:-1]
            if share > written:
                written = share
                await self._context.db.write(reports.note_progress, number, run=run, progress=share)


def build_kinds(context: Context) -> Mapping[str, Kind]:
    """How a worker runs the jobs of the grid."""
    backoff = Backoff(MICROSECONDS, 60 * MICROSECONDS)
    return {reports.KIND: Kind(ReportJob(context).handle, concurrency=2, backoff=backoff)}
