"""The engine: runs the jobs of registered kinds in this event loop, until it is closed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack

from signalbox.core.beat import until_beat
from signalbox.core.errors import InvalidError
from signalbox.core.times import MICROSECONDS
from signalbox.infra.clock import Clock
from signalbox.infra.db import DatabaseUnavailableError
from signalbox.infra.jobs import JobQueue
from signalbox.infra.jobs.job import Job, Kind, Report, check_kind
from signalbox.infra.jobs.lane import Lane, Running
from signalbox.infra.jobs.leases import Held
from signalbox.infra.jobs.reporter import Reporter
from signalbox.infra.jobs.schedule import Schedule
from signalbox.infra.telemetry import Histogram

HEARTBEAT = 2.5
"""Seconds between two extensions of leases: a quarter of a lease."""
LONGEST_SLEEP = 60.0
"""Seconds after which schedules are looked at even if none is due: the clock may have been set."""
GRACE = 1.0
"""Seconds that a handler has to stop after it was cancelled."""
LAST_WRITE = 5.0
"""Seconds that the last reports have to be written in."""

_log = logging.getLogger(__name__)


class Worker:
    """Runs jobs. ``open`` it in the event loop in which the handlers are to run.

    It knows of work by wake-ups, by its own timers, and in case it missed any, by polling now and then. While nothing
    is committed it only asks, each second or two, whether that is so.
    """

    def __init__(
        self,
        queue: JobQueue,
        kinds: Mapping[str, Kind],
        clock: Clock,
        *,
        name: str,
        schedules: Sequence[Schedule] = (),
        heartbeat: float = HEARTBEAT,
        listeners: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        """``name`` is unlike that of any other process, now or earlier; ``listeners`` hear wake-ups by other names."""
        _check(kinds, schedules)
        self.reporter = Reporter(queue, clock, self._fail, on_room=self._have_room)
        self._queue, self._clock, self._name, self._schedules = queue, clock, name, tuple(schedules)
        self._heartbeat, self._listeners = heartbeat, dict(listeners or {})
        self._lanes = {
            each: Lane(each, kind, queue=queue, clock=clock, reporter=self.reporter, worker=name)
            for each, kind in kinds.items()
        }
        self._lane_tasks: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()
        self._stamp: object = None
        """Of the queue at the last look; while it is the same, nothing has changed."""

    @property
    def running(self) -> dict[str, int]:
        """How many jobs of each kind run at present in this process."""
        return {name: len(lane.running) for name, lane in self._lanes.items()}

    @property
    def lags(self) -> dict[str, tuple[Histogram, int]]:
        """How long jobs of each kind had been due when they began here, and the sum of that, in microseconds."""
        return {name: (lane.lag, lane.lag_sum) for name, lane in self._lanes.items()}

    async def open(self) -> None:
        """Begin to work.

        Raises:
            DatabaseUnavailableError: the database is away.
        """
        await self._queue.open(self._wake, now=self._clock.now())
        self._stack.push_async_callback(self._queue.close)
        self.reporter.open()
        self._repeat("heartbeat", self._beat)
        self._repeat("poll", self._poll)
        self._lane_tasks = [asyncio.create_task(lane.run()) for lane in self._lanes.values()]
        if self._schedules:
            self._repeat("schedules", self._fire)

    def stop(self) -> None:
        """Take no more jobs; those under way go on until ``close``."""
        for lane in self._lanes.values():
            lane.close()

    async def close(self, *, drain: float = 10.0) -> None:
        """Take no more jobs; finish those under way within ``drain`` seconds, give the rest back, record it all.

        What was given back runs at once elsewhere, and its attempt does not count.
        """
        self.stop()
        if self._lane_tasks:
            await asyncio.wait(self._lane_tasks)
        await _wait(self._attempts(), drain)
        self.give_back()
        if left := await _wait(self._attempts(), GRACE):
            _log.error("handlers do not stop; their jobs run again when the leases end", extra={"jobs": left})
        await self.reporter.close(within=LAST_WRITE)
        await self._stack.aclose()

    def give_back(self) -> None:
        """Stop the jobs under way; they run again at once elsewhere, or in the next process."""
        for lane in self._lanes.values():
            for running in list(lane.running.values()):
                if running.ending is None:
                    lane.end(running, "released")

    def _attempts(self) -> list[asyncio.Task[None]]:
        """The tasks of all jobs under way."""
        under_way = (running for lane in self._lanes.values() for running in lane.running.values())
        return [running.task for running in under_way if running.task is not None]

    def _wake(self, kind: str, due_at: int) -> None:
        if (lane := self._lanes.get(kind)) is not None:
            lane.wake(due_at)
        elif (listener := self._listeners.get(kind)) is not None:
            listener()

    def _have_room(self) -> None:
        for lane in self._lanes.values():
            lane.look_again()

    def _fail(self, job: Job, error: Exception) -> Report:
        return self._lanes[job.kind].fail(job, error)

    def _repeat(self, what: str, step: Callable[[], Awaitable[float]]) -> None:
        """Do ``step`` again and again, each time after as many seconds as it said, until the worker is closed."""
        task = asyncio.create_task(_for_ever(what, step))

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(stop)

    async def _poll(self) -> float:
        stamp = await self._queue.stamp()
        if stamp == self._stamp:
            return until_beat(self._queue.poll)
        for kind, due_at in (await self._queue.next_due(tuple(self._lanes))).items():
            self._wake(kind, due_at)
        self._stamp = stamp
        return until_beat(self._queue.poll)

    async def _fire(self) -> float:
        now = self._clock.now()
        following = await self._queue.fire(self._schedules, now=now)
        return LONGEST_SLEEP if following is None else min(LONGEST_SLEEP, max(0, following - now) / MICROSECONDS)

    async def _beat(self) -> float:
        held = {job: (lane, running) for lane in self._lanes.values() for job, running in lane.running.items()}
        try:
            if held:
                _apply(held, await self._queue.renew(worker=self._name, now=self._clock.now()))
            await self._queue.recover(now=self._clock.now())
        except DatabaseUnavailableError:
            _stop_lapsed(held.values(), self._clock.now())
            raise
        return until_beat(self._heartbeat)


def _apply(held: Mapping[int, tuple[Lane, Running]], kept: Mapping[int, Held]) -> None:
    """Extend what is still ours; stop what somebody asked us to stop, and what another has taken."""
    for number, (lane, running) in held.items():
        if lane.running.get(number) is not running or running.ending is not None:
            continue
        found = kept.get(number)
        if found is None or found.claim != running.job.claim:
            lane.end(running, "lost")
        elif found.cancelled:
            lane.end(running, "cancelled")
        else:
            running.lease_until = found.lease_until


def _stop_lapsed(held: Iterable[tuple[Lane, Running]], now: int) -> None:
    """Without the database no lease can be extended; when one has run out, another may have begun the job."""
    for lane, running in held:
        if running.lease_until <= now and running.ending is None and lane.running.get(running.job.id) is running:
            lane.end(running, "lost")


async def _for_ever(what: str, step: Callable[[], Awaitable[float]]) -> None:
    failing = False
    while True:
        try:
            pause, failing = await step(), False
        except DatabaseUnavailableError as error:
            if not failing:
                _log.warning("the worker waits for the database", extra={"step": what, "reason": str(error)})
            pause, failing = 1.0, True
        except Exception:  # noqa: BLE001 - one failure must not end the heartbeat for good
            _log.exception("a step of the worker failed", extra={"step": what})
            pause = 1.0
        await asyncio.sleep(pause)


async def _wait(tasks: Sequence[asyncio.Task[None]], seconds: float) -> int:
    """Wait for tasks; how many are left after so many seconds."""
    if not tasks:
        return 0
    return len((await asyncio.wait(tasks, timeout=seconds))[1])


def _check(kinds: Mapping[str, Kind], schedules: Sequence[Schedule]) -> None:
    for kind in kinds:
        check_kind(kind)
    names = [each.name for each in schedules]
    if len(set(names)) < len(names):
        msg = f"two schedules have the same name: {', '.join(sorted(names))}"
        raise InvalidError(msg)
