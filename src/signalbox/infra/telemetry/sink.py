"""A bounded batch sink: the hot path appends, a task writes now and then.

An absent database costs rows, never speed or memory.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from signalbox.core.beat import until_beat
from signalbox.core.errors import UnavailableError
from signalbox.core.outage import OutageLog

T = TypeVar("T")

CAPACITY = 100_000
INTERVAL = 0.5

_log = logging.getLogger(__name__)


class BatchSink(Generic[T]):
    """Hands what was recorded to ``flush`` every ``interval`` seconds, and on ``close``.

    ``flush`` is called again with the same items when it raises UnavailableError. While it fails, up to
    ``capacity`` items wait; more are dropped and counted. ``fill`` is called before each flush, so that whoever gathers
    items can hand in the last ones. Where items stand for several things each, ``weigh`` says how many: ``capacity`` and
    ``dropped`` then count those.
    """

    def __init__(
        self,
        flush: Callable[[list[T]], Awaitable[None]],
        *,
        fill: Callable[[], None] = lambda: None,
        weigh: Callable[[T], int] = lambda _item: 1,
        capacity: int = CAPACITY,
        interval: float = INTERVAL,
    ) -> None:
        self.dropped = 0
        """How many items were lost because ``capacity`` waited already."""
        self._fill = fill
        self._weigh, self._weight = weigh, 0
        self._flush, self._capacity, self._interval = flush, capacity, interval
        self._items: list[T] = []
        self._outage = OutageLog(
            _log, "statistics cannot be written; they wait in memory", "statistics are written again"
        )
        self._turn = asyncio.Lock()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many items wait to be written, by weight."""
        return self._weight

    def record(self, item: T) -> None:
        """Take one item; never blocks."""
        weight = self._weigh(item)
        if self._weight + weight <= self._capacity:
            self._items.append(item)
            self._weight += weight
        else:
            self.dropped += weight

    def record_all(self, items: Sequence[T]) -> None:
        """Take many items; never blocks."""
        for item in items:
            self.record(item)

    def open(self) -> None:
        """Begin to flush; needs a running event loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Flush what waits, then stop; what cannot be written now is counted as dropped."""
        self._closing.set()
        if self._task is not None:
            await self._task
        await self.flush()
        self.dropped += self._weight
        self._items, self._weight = [], 0

    async def flush(self) -> None:
        """Write what waits now; a caller that is cancelled does not stop the writing."""
        await asyncio.shield(asyncio.create_task(self._flush_in_turn()))

    async def _flush_in_turn(self) -> None:
        async with self._turn:  # one batch at a time, so that one that is put back stays before newer ones
            self._fill()
            if not self._items:
                return
            batch, self._items, self._weight = self._items, [], 0
            try:
                await self._flush(batch)
            except UnavailableError as error:
                self._put_back(batch)
                self._outage.failed(error)
            except Exception:  # noqa: BLE001 - one bad batch must not end the writing of all later ones
                self.dropped += sum(map(self._weigh, batch))
                _log.exception("a batch could not be written and is lost", extra={"items": len(batch)})
            else:
                self._outage.worked(dropped=self.dropped)

    async def _run(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), until_beat(self._interval))
            await self.flush()

    def _put_back(self, batch: list[T]) -> None:
        newer, self._items = self._items, batch
        self._weight = sum(map(self._weigh, batch))
        self.record_all(newer)
