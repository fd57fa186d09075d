"""Numbers of jobs for ``/metrics``: what runs and has ended in this process, and what waits in the database."""

import asyncio
import logging
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from signalbox.core.beat import until_beat
from signalbox.core.errors import UnavailableError
from signalbox.core.times import MICROSECONDS
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database
from signalbox.infra.jobs import Backlog, read_backlog
from signalbox.infra.jobs.worker import Worker
from signalbox.infra.telemetry import Histogram

INTERVAL = 5.0
"""Seconds between two looks at what waits."""
MOST = 10_000
"""So many waiting jobs of a kind are counted; more are shown as this many."""

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)

_log = logging.getLogger(__name__)


class JobMetrics:
    """A ``Source`` of metrics. Every process that works shows the same backlog, as it is that of the database."""

    def __init__(self, worker: Worker, db: Database, clock: Clock, kinds: Iterable[str]) -> None:
        self._worker, self._db, self._clock, self._kinds = worker, db, clock, tuple(sorted(kinds))
        self._backlog: dict[str, Backlog] = {}
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to look at what waits; needs a running event loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Read now what waits.

        Raises:
            DatabaseUnavailableError: the database is away.
        """
        self._backlog = await self._db.read(read_backlog, self._kinds, most=MOST)

    def collect(self) -> Iterator[Metric]:
        """The families."""
        yield self._running()
        yield from self._ended()
        yield from self._waiting()
        yield self._lag()

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except UnavailableError:  # the worker says so already
                self._backlog = {}
            except Exception:  # noqa: BLE001 - numbers that cannot be read now may be later
                _log.exception("waiting jobs could not be counted")
            await asyncio.sleep(until_beat(INTERVAL))

    def _running(self) -> Metric:
        running = GaugeMetricFamily("signalbox_jobs_running", "Jobs under way in this process.", labels=("kind",))
        for kind, count in self._worker.running.items():
            running.add_metric((kind,), count)
        return running

    def _ended(self) -> Iterator[Metric]:
        ended = CounterMetricFamily(
            "signalbox_jobs_ended", "Attempts by the state that followed: waiting is a retry.", labels=("kind", "state")
        )
        late = CounterMetricFamily(
            "signalbox_jobs_late", "Attempts that ended when another worker had the job already.", labels=("kind",)
        )
        for (kind, state), count in self._worker.reporter.ended.items():
            ended.add_metric((kind, state), count)
        for kind, count in self._worker.reporter.late.items():
            late.add_metric((kind,), count)
        yield from (ended, late)

    def _waiting(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("signalbox_jobs_waiting", f"Jobs that wait, up to {MOST}.", labels=("kind",))
        dead = GaugeMetricFamily("signalbox_jobs_dead", f"Jobs that are dead, up to {MOST}.", labels=("kind",))
        age = GaugeMetricFamily(
            "signalbox_jobs_oldest_due_seconds", "For how long the first waiting job has been due.", labels=("kind",)
        )
        now = self._clock.now()
        for kind, found in self._backlog.items():
            waiting.add_metric((kind,), found.waiting)
            dead.add_metric((kind,), found.dead)
            late = 0 if found.first_due is None else max(0, now - found.first_due)
            age.add_metric((kind,), late / MICROSECONDS)
        yield from (waiting, dead, age)

    def _lag(self) -> Metric:
        lag = HistogramMetricFamily("signalbox_jobs_lag_seconds", "From due to begun.", labels=("kind",))
        for kind, (histogram, total) in self._worker.lags.items():
            if histogram.buckets:
                lag.add_metric((kind,), _prometheus_buckets(histogram), total / MICROSECONDS)
        return lag


def _prometheus_buckets(histogram: Histogram) -> list[tuple[str, float]]:
    counts = histogram.below(round(bound * MICROSECONDS) for bound in SECONDS_BUCKETS)
    pairs = [(str(bound), float(count)) for bound, count in zip(SECONDS_BUCKETS, counts, strict=True)]
    return [*pairs, ("+Inf", float(histogram.count))]
