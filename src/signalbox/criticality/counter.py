"""Counts asks on the hot path, and writes them down in batches."""

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from prometheus_client.core import CounterMetricFamily, Metric

from signalbox.core.beat import until_beat
from signalbox.core.errors import UnavailableError
from signalbox.core.outage import OutageLog
from signalbox.core.times import MICROSECONDS, MINUTE
from signalbox.criticality import store
from signalbox.criticality.consumer_store import Asked
from signalbox.criticality.service import silence
from signalbox.criticality.store import Pair
from signalbox.infra.context import Context

INTERVAL = 2.0
"""Seconds between two writings of consumers; with what a write takes less than ``silence.LATENESS``."""
MINUTES_EVERY = 3
"""Sums of minutes are written with every third of them: nobody is told to be silent by them."""
PRESENCE = MICROSECONDS
"""How often at most it is written down that those who wait are there: with each writing of consumers."""
AT_ONCE = 500
"""Consumers in one transaction: others wait meanwhile for some milliseconds."""
MAX_PAIRS = 100_000
"""Consumers whose asks wait to be written; those of more are dropped and counted."""
MAX_MINUTES = 60
"""Minutes whose sums wait for an absent database."""

_log = logging.getLogger(__name__)


class AskCounter:
    """Who asked how often, and when last; the hot path is ``add``.

    An absent database costs counts at worst, never speed or memory.
    """

    def __init__(
        self, context: Context, *, present: Callable[[], Iterable[Pair]] = tuple, max_pairs: int = MAX_PAIRS
    ) -> None:
        """``present``: who waits for a change at this moment; they count as seen without asking again."""
        self.dropped = 0
        """Asks that were not counted."""
        self._context, self._clock = context, context.clock
        self._max_pairs, self._present, self._present_at = max_pairs, present, 0
        self._writer = random.SystemRandom().getrandbits(62)
        self._fresh: dict[Pair, int] = {}
        self._waiting: dict[Pair, Asked] = {}
        """By consumer, what is not written to the main database."""
        self._minutes: dict[int, dict[Pair, int]] = {}
        """By minute, the sums that are not written, or may still grow."""
        self._changed: dict[int, set[Pair]] = {}
        """By minute, whose sums are not written."""
        self._by_signal: dict[str, int] = {}
        self._beat_at = 0
        self._outage = OutageLog(_log, "asks cannot be written; they wait in memory", "asks are written again")
        self._task: asyncio.Task[None] | None = None

    def add(self, pair: Pair) -> None:
        """Count an ask; never blocks."""
        fresh = self._fresh
        fresh[pair] = fresh.get(pair, 0) + 1

    async def open(self) -> None:
        """Begin to write."""
        alone = self._context.db.dialect == "sqlite"
        with contextlib.suppress(UnavailableError):  # the first beat that can be written says it as well
            await self._context.db.write(silence.begin, alone=alone, now=self._clock.now())
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what waits, then stop; what cannot be written now is lost."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self.flush()

    async def flush(self, *, minutes: bool = True) -> None:
        """Write what waits now, without ``minutes`` only who asked; what cannot be written waits on."""
        self._sum_up()
        self._note_present()
        try:
            await self._write_consumers()
            if minutes:
                await self._write_minutes()
        except UnavailableError as error:
            self._outage.failed(error)
        else:
            self._outage.worked(dropped=self.dropped)

    def collect(self) -> Iterator[Metric]:
        """Prometheus families."""
        self._sum_up()
        asks = CounterMetricFamily("signalbox_criticality_asks", "Asks for a level.", labels=("signal",))
        for name, count in self._by_signal.items():
            asks.add_metric((name,), count)
        yield asks
        yield CounterMetricFamily("signalbox_criticality_asks_dropped", "Asks that were not counted.", self.dropped)

    def _sum_up(self) -> None:
        fresh, self._fresh = self._fresh, {}
        if not fresh:
            return
        now = self._clock.now()
        start = now - now % MINUTE
        minute, changed = self._minutes.setdefault(start, {}), self._changed.setdefault(start, set())
        for pair, count in fresh.items():
            before = self._waiting.get(pair)
            if before is None and len(self._waiting) >= self._max_pairs:
                self.dropped += count
                continue
            self._waiting[pair] = Asked(*pair, count + (before.requests if before else 0), now)
            minute[pair] = minute.get(pair, 0) + count
            changed.add(pair)
            self._by_signal[pair[1]] = self._by_signal.get(pair[1], 0) + count
        while len(self._minutes) > MAX_MINUTES:
            oldest = next(iter(self._minutes))
            self._changed.pop(oldest, None)
            self.dropped += sum(self._minutes.pop(oldest).values())

    def _note_present(self) -> None:
        now = self._clock.now()
        if now - self._present_at < PRESENCE:
            return
        self._present_at = now
        for pair in self._present():
            if pair not in self._waiting and len(self._waiting) < self._max_pairs:
                self._waiting[pair] = Asked(*pair, 0, now)

    async def _write_consumers(self) -> None:
        now = self._clock.now()
        if not self._waiting and now - self._beat_at < silence.BEAT:
            return
        while True:
            batch = dict(islice(self._waiting.items(), AT_ONCE))
            for pair in batch:
                del self._waiting[pair]
            try:
                await self._context.db.write(silence.note_asks, list(batch.values()), now=now)
            except BaseException:
                self._put_back(batch)
                raise
            self._beat_at = now
            if not self._waiting:
                return

    async def _write_minutes(self) -> None:
        """Write the sums that have changed: each row anew, so that a repeated write changes nothing."""
        for minute in list(self._minutes):
            changed = self._changed.pop(minute, set())
            sums = self._minutes[minute]
            rows = [store.MinuteAsks(minute, *pair, self._writer, sums[pair]) for pair in changed]
            try:
                for start in range(0, len(rows), AT_ONCE):
                    await self._context.calls_db.write(store.write_asks, rows[start : start + AT_ONCE])
            except BaseException:
                self._changed.setdefault(minute, set()).update(changed)
                raise
            if minute + MINUTE <= self._clock.now() and minute not in self._changed:
                self._minutes.pop(minute, None)

    def _put_back(self, batch: dict[Pair, Asked]) -> None:
        for pair, asked in batch.items():
            newer = self._waiting.get(pair)
            last_at = asked.last_at if newer is None else newer.last_at
            self._waiting[pair] = Asked(*pair, asked.requests + (newer.requests if newer else 0), last_at)

    async def _run(self) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(until_beat(INTERVAL))
            try:
                await self.flush(minutes=number % MINUTES_EVERY == 0)
            except Exception:  # noqa: BLE001 - one failure must not end the counting for good
                _log.exception("asks could not be written")
