"""One kind's jobs in one worker: claims as many as may run at once, and runs them."""

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import Literal

from signalbox.core.errors import UnavailableError
from signalbox.core.outage import OutageLog
from signalbox.core.times import MICROSECONDS
from signalbox.infra.clock import Clock
from signalbox.infra.jobs import JobQueue, outcomes
from signalbox.infra.jobs.job import Job, Kind, Outcome, Report
from signalbox.infra.jobs.reporter import Reporter
from signalbox.infra.telemetry import Histogram

NEVER = 2**63 - 1
AWAY_PAUSE = MICROSECONDS
"""Wait for an absent database."""
HELD_PAUSE = MICROSECONDS // 50
"""Wait for due jobs that nobody gives us: another worker is just claiming them."""
STOPPING_PAUSE = MICROSECONDS
"""Wait for a handler that does not stop."""

CLAIMED_AT_ONCE = 1_000
"""Where more may run at once, the next are claimed while these begin."""

Ending = Literal["cancelled", "lost", "released"]
"""Why a handler is stopped: somebody asked for it, the lease has gone, or the worker closes."""

_log = logging.getLogger(__name__)


class JobTimeoutError(Exception):
    """A handler took longer than its kind allows."""


@dataclass(slots=True, eq=False)
class Running:
    """An attempt under way."""

    job: Job
    lease_until: int
    task: asyncio.Task[None] | None = None
    begun: bool = False
    ending: Ending | None = None


class Lane:
    """Claims one kind's jobs whenever some may be due and there is room, and hands what became of them to a reporter.

    Claims follow one another: what becomes free while one is under way is filled by the next.
    """

    def __init__(
        self, name: str, kind: Kind, *, queue: JobQueue, clock: Clock, reporter: Reporter, worker: str
    ) -> None:
        self.name = name
        self.running: dict[int, Running] = {}
        """By job id."""
        self.lag, self.lag_sum = Histogram(), 0
        """How long jobs had been due when they began, in microseconds."""
        self._kind, self._queue, self._clock, self._reporter, self._worker = kind, queue, clock, reporter, worker
        self._due = 0
        self._changed = asyncio.Event()
        self._closing = False
        self._outage = OutageLog(_log, "jobs cannot be claimed", "jobs are claimed again")

    def wake(self, due_at: int) -> None:
        """Look for work at ``due_at``, or sooner where that was meant already."""
        if due_at < self._due:
            self._due = due_at
            self._changed.set()

    def look_again(self) -> None:
        """Something that was waited for may be there: see whether there is room now."""
        self._changed.set()

    def close(self) -> None:
        """Claim no more; ``run`` ends."""
        self._closing = True
        self._changed.set()

    async def run(self) -> None:
        """Claim and start jobs until ``close``."""
        while not self._closing:
            self._changed.clear()
            room = min(self._kind.concurrency - len(self.running), self._reporter.room, CLAIMED_AT_ONCE)
            wait = self._due - self._clock.now()
            if room > 0 and wait <= 0:
                await self._fill(room)
            else:
                await self._sleep(wait if room > 0 else NEVER)

    def end(self, running: Running, ending: Ending) -> None:
        """Stop a handler; what it was stopped for is recorded when it has stopped."""
        running.ending = ending
        if running.task is not None:
            running.task.cancel()
        if not running.begun:  # a task that is cancelled before its first step runs none of its code
            self._finish(running, self._report_end(running))

    async def _fill(self, room: int) -> None:
        self._due = NEVER
        try:
            jobs = await self._queue.claim(self.name, worker=self._worker, limit=room, now=self._clock.now())
            self._start_all(jobs)
            if jobs:
                await asyncio.sleep(0)  # they begin before anything else is looked for
            if len(jobs) < room:
                await self._look(pause=0 if jobs else HELD_PAUSE)
            else:
                self._due = 0
        except Exception as error:  # noqa: BLE001 - else the kind would never run again; what was claimed comes back
            if not isinstance(error, UnavailableError):
                _log.exception("a claim failed", extra={"kind": self.name})
            self._outage.failed(error, kind=self.name)
            self.wake(self._clock.now() + AWAY_PAUSE)
        else:
            self._outage.worked(kind=self.name)

    async def _look(self, *, pause: int) -> None:
        """Learn when the next job is due; what is due already is looked for after ``pause``."""
        found = (await self._queue.next_due((self.name,))).get(self.name)
        if found is not None:
            self.wake(max(found, self._clock.now() + pause))

    def _start_all(self, jobs: list[Job]) -> None:
        now = self._clock.now()
        loop = asyncio.get_running_loop()  # once for all: on Python 3.11 asking for it costs a system call
        lags: list[int] = []
        for job in jobs:
            if self._closing:
                self._reporter.put(outcomes.of_release(job, now=now))
            elif job.id in self.running:  # its lease ran out here, and the handler that was stopped for it still runs
                self._reporter.put(outcomes.of_release(job, now=now + STOPPING_PAUSE))
            elif now < job.lease_until:  # else this process was stopped meanwhile, and another may have it by now
                running = self.running[job.id] = Running(job, job.lease_until)
                lags.append(max(0, now - job.due_at))
                running.task = loop.create_task(self._attempt(running))
        self.lag.add_all(lags)
        self.lag_sum += sum(lags)

    async def _attempt(self, running: Running) -> None:
        running.begun = True
        job, report = running.job, None
        try:
            outcome = await (self._kind.handle(job) if self._kind.timeout is None else self._handle_in_time(job))
            report = outcomes.of_outcome(job, outcome, forgets=self._kind.forgets)
        except asyncio.CancelledError as error:
            report = self._report_end(running) if running.ending else self.fail(job, error)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is its job's failure
            report = self.fail(job, error)
            _log.info("a job failed", extra={"job": job.id, "kind": self.name, "reason": report.error})
        finally:
            self._finish(running, report)

    async def _handle_in_time(self, job: Job) -> Outcome | None:
        kind = self._kind
        scope = asyncio.timeout(kind.timeout)
        try:
            async with scope:
                return await kind.handle(job)
        except TimeoutError as error:
            if not scope.expired():
                raise
            msg = f"not done within {kind.timeout:g} s"
            raise JobTimeoutError(msg) from error

    def fail(self, job: Job, error: BaseException) -> Report:
        """What follows from an error of an attempt."""
        now = self._clock.now()
        return outcomes.of_failure(job, error, now=now, backoff=self._kind.backoff, fraction=random.random())

    def _report_end(self, running: Running) -> Report | None:
        if running.ending == "cancelled":
            return outcomes.of_cancellation(running.job)
        if running.ending == "released":
            return outcomes.of_release(running.job, now=self._clock.now())
        return None

    def _finish(self, running: Running, report: Report | None) -> None:
        if self.running.get(running.job.id) is running:
            del self.running[running.job.id]
        if report is not None:
            self._reporter.put(report)
        self._changed.set()

    async def _sleep(self, micros: int) -> None:
        """Until something has changed, at most so long."""
        timer = None
        if micros < NEVER // 2:
            timer = asyncio.get_running_loop().call_later(micros / MICROSECONDS, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()
