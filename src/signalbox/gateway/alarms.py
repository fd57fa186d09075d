"""Tells of upstreams that go down and come up, as events, without ever holding a call up."""

import asyncio
import logging
import random
from collections import deque
from typing import Any

from signalbox.core.errors import UnavailableError
from signalbox.core.outage import OutageLog
from signalbox.core.times import MICROSECONDS, to_rfc3339
from signalbox.gateway.breaker import Breaker, BreakerView, State
from signalbox.infra.context import Context
from signalbox.infra.events import Event, publish

DOWN, UP = "gateway.upstream_down", "gateway.upstream_up"
CAPACITY = 200
"""Changes that wait for an absent database."""
PAUSE = 1.0
"""Seconds before an absent database is tried again."""

_log = logging.getLogger(__name__)


class Alarms:
    """Writes an event for each outage's begin and end; ``on_change`` is for ``Breaker``.

    While the database is away, up to ``capacity`` events wait; of more the oldest are dropped and counted.
    """

    def __init__(self, context: Context, *, capacity: int = CAPACITY, pause: float = PAUSE) -> None:
        self.dropped = 0
        """How many events were lost."""
        self._clock, self._db = context.clock, context.db
        self._capacity, self._pause = capacity, pause
        self._waiting: deque[tuple[Event, int]] = deque()
        self._writer, self._number = random.SystemRandom().getrandbits(62), 0
        self._outage = OutageLog(
            _log, "events of upstreams cannot be written; they wait in memory", "events of upstreams are written again"
        )
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many events are not written yet."""
        return len(self._waiting)

    def on_change(self, old: State, new: State, breaker: Breaker) -> None:
        """Take a change; only the first opening and the closing are told, not the probes that fail between."""
        if new == "closed" or (old, new) == ("closed", "open"):
            now = self._clock.now()
            self._number += 1
            key = f"gateway.breaker/{self._writer:x}/{self._number}"  # one whose COMMIT broke may be there already
            self._put(to_event(breaker, self._clock.monotonic(), wall=now, dedup_key=key), now)

    def open(self) -> None:
        """Begin to write; needs a running event loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what waits, then stop; what cannot be written now is counted as dropped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while self._waiting and await self._write_oldest():
            pass
        self.dropped += len(self._waiting)
        self._waiting.clear()

    def _put(self, event: Event, now: int) -> None:
        self._waiting.append((event, now))
        if len(self._waiting) > self._capacity:
            self._waiting.popleft()
            self.dropped += 1
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                if not await self._write_oldest():
                    await asyncio.sleep(self._pause)

    async def _write_oldest(self) -> bool:
        """Write one event; False where the database is away."""
        item = self._waiting.popleft()
        try:
            await self._db.write(publish, item[0], now=item[1])
        except UnavailableError as error:
            self._put_back(item)
            self._outage.failed(error)
            return False
        except asyncio.CancelledError:
            self._put_back(item)
            raise
        except Exception:  # noqa: BLE001 - one bad event must not end the writing of all later ones
            self.dropped += 1
            _log.exception("an event could not be written and is lost", extra={"topic": item[0].topic})
        else:
            self._outage.worked(dropped=self.dropped)
        return True

    def _put_back(self, item: tuple[Event, int]) -> None:
        if len(self._waiting) < self._capacity:
            self._waiting.appendleft(item)
        else:
            self.dropped += 1


def to_event(breaker: Breaker, now: float, *, wall: int, dedup_key: str | None = None) -> Event:
    """The event of a breaker's present state; ``now`` is monotonic, ``wall`` the same moment in microseconds UTC.

    ``data``: ``upstream``, ``reason``, ``samples`` (the last failed calls), ``since`` (when the outage began), and
    ``down_seconds`` (how long it has lasted).
    """
    view = breaker.view(now, wall=wall)
    down_seconds = max(0.0, now - breaker.down_since)
    data = {
        "upstream": breaker.name,
        "reason": view.reason,
        "samples": _to_samples(view),
        "since": to_rfc3339(wall - round(down_seconds * MICROSECONDS)),
        "down_seconds": round(down_seconds, 3),
    }
    if view.state == "closed":
        return Event(UP, data, severity="info", dedup_key=dedup_key)
    return Event(DOWN, data, severity="error", dedup_key=dedup_key)


def _to_samples(view: BreakerView) -> list[dict[str, Any]]:
    return [{**each._asdict(), "at": to_rfc3339(each.at)} for each in view.samples]
