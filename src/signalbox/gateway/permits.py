"""Permits to call a host that has a budget, taken from the database in blocks and given out from memory.

A block is for the calls that wait and those that are likely to come before it ends: as many as came in as much time of
late. A permit counts in the database from when it is taken until its window, the margin and the block's time have
passed, so it may be used at any moment before the block ends. What is left then is lost.

Times are seconds of the event loop's clock, unless said otherwise.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from signalbox.core.errors import SignalboxError
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.errors import BudgetExhaustedError, HostPausedError
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database
from signalbox.infra.limits.budgets import Budgets

MAX_WAITING = 1_000
"""Calls of one host that wait for a permit at most, for which the database is asked without delay."""
MAX_SHARE = 10
"""A block is at most this part of the smallest limit, lest one process starve the others."""
SHORTEST, LONGEST = 0.1, 1.0
"""Seconds that a block lasts: a fortieth of the shortest window within these bounds, so that windows of five seconds and
more lose a fortieth at most, and that the database need be asked a few times a second only."""
_PART = 40
_LOW = 4
"""A new block is asked for when this part of the last one is left."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Block:
    left: int
    ends: float


class HostPermits:
    """The permits of one host in one process, for one event loop."""

    def __init__(self, host: str, budgets: Budgets, *, db: Database, clock: Clock) -> None:
        limits = budgets.limits_of(host)
        self.host = host
        self._budgets, self._db, self._clock = budgets, db, clock
        self._lasts = min(LONGEST, max(SHORTEST, min(each.window for each in limits) / MICROSECONDS / _PART))
        self._most = max(1, min(each.limit for each in limits) // MAX_SHARE)
        self._blocks: deque[_Block] = deque()
        self._waiting: deque[asyncio.Future[float]] = deque()
        self._low = 0
        self._used = 0
        """Permits given out since ``_since``."""
        self._since = 0.0
        self._empty_until = self._paused_until = 0.0
        self._refill: asyncio.Task[None] | None = None
        self._pauses: set[asyncio.Task[None]] = set()

    async def take(self) -> float:
        """Take leave for one call.

        Returns:
            The moment before which it must be sent.

        Raises:
            BudgetExhaustedError: as many calls as may be were made, by whomever.
            HostPausedError: the host has asked to be left alone.
            DatabaseUnavailableError: nobody can say how many were made.
        """
        now = asyncio.get_running_loop().time()
        if now < self._paused_until:
            raise self._paused(now)
        ends = self._take_from_block(now)
        if ends is not None:
            if self._left() <= self._low and now >= self._empty_until:
                self._begin_refill()
            return ends
        if now < self._empty_until or len(self._waiting) >= MAX_WAITING:
            raise self._exhausted(now)
        waiter: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._begin_refill()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give_back(waiter.result())  # it was handed out in the moment in which its call was given up
            raise

    def give_back(self, ends: float) -> None:
        """Give a permit back that was not used for sure."""
        self._used -= 1
        self._blocks.appendleft(_Block(1, ends))

    def pause(self, seconds: float) -> None:
        """Call the host no more for a while; all processes hear of it."""
        now = asyncio.get_running_loop().time()
        self._paused_until = max(self._paused_until, now + seconds)
        until = self._clock.now() + round(seconds * MICROSECONDS)
        task = asyncio.create_task(self._tell(until))
        self._pauses.add(task)
        task.add_done_callback(self._pauses.discard)

    async def close(self) -> None:
        """End what runs in the background; pauses are written first."""
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        await asyncio.gather(*self._pauses)

    # -- blocks -----------------------------------------------------------------------------------------------------

    def _take_from_block(self, now: float) -> float | None:
        blocks = self._blocks
        while blocks and (blocks[0].ends <= now or not blocks[0].left):
            blocks.popleft()
        if not blocks:
            return None
        blocks[0].left -= 1
        self._used += 1
        return blocks[0].ends

    def _left(self) -> int:
        return sum(block.left for block in self._blocks)

    def _begin_refill(self) -> None:
        if self._refill is None or self._refill.done():
            self._refill = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        """Take blocks until nobody waits."""
        try:
            await self._take_block()
            while self._waiting:
                await self._take_block()
        except SignalboxError as error:
            self._refuse(error)
        except Exception as error:
            self._refuse(error)
            raise

    async def _take_block(self) -> None:
        loop, asked = asyncio.get_running_loop(), self._clock.now()
        now = loop.time()
        count = self._wanted(now)
        grant = await self._budgets.acquire(self.host, count=count, hold=round(self._lasts * MICROSECONDS), now=asked)
        self._blocks.append(_Block(grant.count, now + self._lasts))
        self._low = grant.count // _LOW
        asked_for, now = now, loop.time()
        retry = asked_for + ((grant.retry_at or asked) - asked) / MICROSECONDS
        if grant.paused:
            self._paused_until = max(self._paused_until, retry)
        if now < self._paused_until:
            self._refuse(self._paused(now))
            return
        if now >= asked_for + self._lasts:  # over before it was there: next time for longer
            self._lasts = min(LONGEST, 2 * self._lasts)
        self._hand_out(now)
        if grant.retry_at is not None:
            self._empty_until = retry
            self._refuse(self._exhausted(now))

    def _wanted(self, now: float) -> int:
        """How many permits to ask for: for those who wait, and for as many as are likely to come while a block lasts."""
        likely = int(self._used * self._lasts / max(now - self._since, self._lasts))
        self._used, self._since = 0, now
        return max(1, min(len(self._waiting) + likely, self._most))

    def _hand_out(self, now: float) -> None:
        while self._waiting:
            waiter = self._waiting[0]
            if not waiter.done():  # else its call was given up
                ends = self._take_from_block(now)
                if ends is None:
                    return
                waiter.set_result(ends)
            del self._waiting[0]

    def _refuse(self, error: Exception) -> None:
        """Tell all who wait."""
        waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(error)

    # -- refusals ---------------------------------------------------------------------------------------------------

    def _exhausted(self, now: float) -> BudgetExhaustedError:
        msg = f"the budget of {self.host} is used up; it may be called again when earlier calls are out of the window"
        return BudgetExhaustedError(msg, retry_after=max(self._empty_until - now, 0.0))

    def _paused(self, now: float) -> HostPausedError:
        msg = f"{self.host} has asked to be left alone for a while; nobody calls it until then"
        return HostPausedError(msg, retry_after=max(self._paused_until - now, 0.0))

    async def _tell(self, until: int) -> None:
        """Write a pause where the others see it."""
        try:
            await self._db.write(self._budgets.pause, self.host, until=until)
        except SignalboxError as error:
            _log.warning("others were not told of a pause", extra={"host": self.host, "reason": str(error)})
