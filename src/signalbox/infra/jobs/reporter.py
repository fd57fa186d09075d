"""Records what became of jobs: everything that has ended while the last batch was written goes into the next one."""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from signalbox.core.outage import OutageLog
from signalbox.infra.clock import Clock
from signalbox.infra.db import CommitUnknownError, DatabaseUnavailableError
from signalbox.infra.jobs import JobQueue
from signalbox.infra.jobs.job import Job, Report, State

AT_ONCE = 1_000
CAPACITY = 4_000
"""Reports that may wait; beyond that no job is begun."""
PAUSE = 1.0
"""Seconds before an absent database is tried again."""
PATIENCE = 3
"""How often a batch is tried before one of its members is suspected."""

_log = logging.getLogger(__name__)


class Reporter:
    """Writes reports in batches, one batch at a time.

    A ``then`` that raises spoils nobody else's report: its own job has failed instead, as if its handler had raised;
    ``fail(job, error)`` makes that report. ``on_room`` is called when there is room again after there was none.
    """

    def __init__(
        self,
        queue: JobQueue,
        clock: Clock,
        fail: Callable[[Job, Exception], Report],
        *,
        pause: float = PAUSE,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self.ended: Counter[tuple[str, State]] = Counter()
        """How many attempts have ended so, by kind and the state that followed."""
        self.late: Counter[str] = Counter()
        """How many reports came when another had the job already, by kind."""
        self._queue, self._clock, self._fail, self._pause, self._on_room = queue, clock, fail, pause, on_room
        self._waiting: list[Report] = []
        self._writing = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._outage = OutageLog(
            _log, "what became of jobs cannot be recorded; it waits in memory", "what became of jobs is recorded again"
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def room(self) -> int:
        """How many more reports may wait."""
        return CAPACITY - len(self._waiting) - self._writing

    def put(self, report: Report) -> None:
        """Take one report; never blocks."""
        self._waiting.append(report)
        self._wake.set()

    def open(self) -> None:
        """Begin to write; needs a running event loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self, *, within: float) -> None:
        """Write what waits, then stop. What cannot be written within so many seconds is done again by others."""
        self._closing = True
        self._wake.set()
        if self._task is None:
            return
        _, unfinished = await asyncio.wait([self._task], timeout=within)
        if unfinished:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            _log.warning("jobs ended but could not be recorded; they run again", extra={"jobs": CAPACITY - self.room})

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            if batch:
                self._writing = len(batch)
                await self._record(batch)
                was_full = self.room <= 0  # it only shrinks while a batch is written
                self._writing = 0
                if was_full:
                    self._on_room()

    async def _record(self, batch: Sequence[Report]) -> None:
        """Write a batch; where that fails, each report for itself, so that the one to blame is found."""
        error = await self._try(batch)
        if error is None:
            return
        if len(batch) > 1:
            for report in batch:
                await self._record([report])
        elif batch[0].then is None:
            _log.error("a job could not be recorded; it runs again", exc_info=error, extra={"job": batch[0].job.id})
        else:
            await self._record([self._fail(batch[0].job, error)])

    async def _try(self, batch: Sequence[Report]) -> Exception | None:
        """Write, as often as the database is away; None, or what one of the reports is to blame for."""
        for count in itertools.count(1):
            try:
                states = await self._queue.record(batch, now=self._clock.now())
            except (DatabaseUnavailableError, CommitUnknownError) as error:
                self._outage.failed(error)
                await asyncio.sleep(self._pause)
                if count >= PATIENCE and any(each.then for each in batch) and await self._answers():
                    return error
            except Exception as error:  # noqa: BLE001 - whatever a ``then`` raises is its job's failure
                return error
            else:
                self._outage.worked()
                self._note(batch, states)
                return None
        return None

    async def _answers(self) -> bool:
        """Whether the database is there: then it is a ``then`` that it does not get done."""
        try:
            await self._queue.next_due(())
        except DatabaseUnavailableError:
            return False
        return True

    def _note(self, batch: Sequence[Report], states: Sequence[State | None]) -> None:
        for report, state in zip(batch, states, strict=True):
            if state is None:
                self.late[report.job.kind] += 1
            else:
                self.ended[report.job.kind, state] += 1
