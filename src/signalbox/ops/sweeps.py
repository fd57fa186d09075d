"""Upkeep of tables: deletes what is older than it need be and rolls up sums, in steps so small that nobody waits."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from signalbox.core.beat import until_beat
from signalbox.core.errors import UnavailableError
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database

INTERVAL = 10.0
IDLE_ROUNDS = 6
"""A table that had nothing to do is looked at again after so many rounds."""
PAUSE = 0.02
BATCH = 2_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sweep:
    """One table's upkeep; ``step(tx, now, limit)`` deletes or builds something, at most ``limit`` of it.

    It returns how many it did: 0 once nothing is left to do.
    """

    name: str
    db: Database
    step: Callable[[Connection, int, int], int]


class Sweeper:
    """Runs sweeps every ``interval`` seconds. Several processes may: what one has done, the others find done."""

    def __init__(self, sweeps: Sequence[Sweep], clock: Clock, *, interval: float = INTERVAL) -> None:
        self._sweeps, self._clock, self._interval = tuple(sweeps), clock, interval
        self._task: asyncio.Task[None] | None = None
        self._idle = {sweep.name: place % IDLE_ROUNDS for place, sweep in enumerate(self._sweeps)}
        """Rounds for which a table is left alone."""

    def open(self) -> None:
        """Begin to sweep."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; what is left is swept by the next process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self) -> int:
        """Sweep everything now; returns how much was done. A table that fails is logged and left for later."""
        return sum([await self._sweep(sweep) for sweep in self._sweeps])

    async def _sweep(self, sweep: Sweep) -> int:
        total = 0
        try:
            while done := await sweep.db.write(sweep.step, self._clock.now(), BATCH):
                total += done
                await asyncio.sleep(PAUSE)
        except UnavailableError as error:
            _log.warning("upkeep waits for the database", extra={"table": sweep.name, "reason": str(error)})
        except Exception:  # noqa: BLE001 - one failing table must not end upkeep of the others, nor for good
            _log.exception("upkeep failed", extra={"table": sweep.name})
        return total

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(until_beat(self._interval))
            for sweep in self._sweeps:
                left = self._idle.get(sweep.name, 0)
                if left:
                    self._idle[sweep.name] = left - 1
                elif not await self._sweep(sweep):
                    self._idle[sweep.name] = IDLE_ROUNDS - 1
