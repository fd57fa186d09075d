"""Jobs, schedules and events on their way to subscribers: the work of a process that nobody waits for."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Mapping, Sequence

from signalbox.app.features import Feature
from signalbox.app.job_metrics import JobMetrics
from signalbox.app.settings import Settings
from signalbox.infra.context import Context
from signalbox.infra.db import DatabaseUnavailableError
from signalbox.infra.events.outbox import NEWS
from signalbox.infra.events.pump import DELIVER, Pump
from signalbox.infra.jobs import JobQueue, Kind
from signalbox.infra.jobs.sqlite import SqliteQueue
from signalbox.infra.jobs.worker import Worker

RETRY_PAUSE = 1.0
"""Seconds before a worker that found no database tries again to begin."""

_log = logging.getLogger(__name__)


class Background:
    """The worker of a process with all that the features bring, from ``open`` to ``close``."""

    def __init__(self, context: Context, settings: Settings, features: Sequence[Feature]) -> None:
        self._context, self._settings = context, settings
        subscribers = [each for feature in features for each in feature.subscribers]
        self._pump = Pump(context.db, context.clock, subscribers)
        kinds = _merge([{DELIVER: self._pump.kind}, *(feature.kinds for feature in features)])
        self.worker = Worker(
            _queue(context, settings),
            kinds,
            context.clock,
            name=worker_name(),
            schedules=[each for feature in features for each in feature.schedules],
            listeners={NEWS: self._pump.wake},
        )
        self._metrics = JobMetrics(self.worker, context.db, context.clock, kinds)
        self._task: asyncio.Task[None] | None = None
        self._deadline: float | None = None

    async def open(self) -> None:
        """Begin to work; where the database is away, as soon as it is there."""
        self._context.metrics.register(self._metrics)
        self._context.drain.listen(self._begin_drain)
        if not await self._try():
            self._task = asyncio.create_task(self._try_for_ever())

    def hurry(self) -> None:
        """Give back what is under way instead of finishing it."""
        self._deadline = 0.0
        self.worker.stop()
        self.worker.give_back()

    async def close(self) -> None:
        """Take no more jobs; those under way have what is left of ``drain_timeout``, then they are given back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._metrics.close()
        await self._pump.close()
        await self.worker.close(drain=self._time_left())

    async def _try(self) -> bool:
        try:
            await self.worker.open()
        except DatabaseUnavailableError as error:
            if self._task is None:
                _log.warning("jobs wait for the database", extra={"reason": str(error)})
            return False
        self._pump.open()
        self._metrics.open()
        return True

    async def _try_for_ever(self) -> None:
        begun = False
        while not begun:
            await asyncio.sleep(RETRY_PAUSE)
            begun = await self._try()
        _log.info("jobs run")

    def _begin_drain(self) -> None:
        """The process is about to end: calls and jobs under way have the same time, and no job begins."""
        self._deadline = asyncio.get_running_loop().time() + self._settings.drain_timeout
        self.worker.stop()

    def _time_left(self) -> float:
        if self._deadline is None:
            return self._settings.drain_timeout
        return max(0.0, self._deadline - asyncio.get_running_loop().time())


def worker_name() -> str:
    """Unlike that of any other process, now or earlier; says where it is to be found."""
    return f"{socket.gethostname()[:60]}/{os.getpid()}/{secrets.token_hex(4)}"


def _queue(context: Context, settings: Settings) -> JobQueue:
    if settings.database_url is None or settings.sqlite_path is not None:
        return SqliteQueue(context.db)
    from signalbox.infra.jobs.postgresql import PostgresqlQueue  # noqa: PLC0415 - its driver is an extra

    return PostgresqlQueue(context.db, settings.database_url.reveal())


def _merge(parts: Sequence[Mapping[str, Kind]]) -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for part in parts:
        if twice := kinds.keys() & part.keys():
            msg = f"two features handle jobs of the same kind: {', '.join(sorted(twice))}"
            raise TypeError(msg)
        kinds.update(part)
    return kinds
