"""Takes calls on the hot path: adds them to this minute's sums at once, and to the rows that a batch writes."""

import contextlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from signalbox.core.errors import UnavailableError
from signalbox.core.times import MICROSECONDS, MINUTE
from signalbox.gateway import store
from signalbox.gateway.call_blocks import Block, pack
from signalbox.gateway.schemas import CallRow
from signalbox.gateway.sums import CREATED_AT, MICROS, Key, Sums, key_of
from signalbox.infra.context import Context
from signalbox.infra.http.recorded import OwnCall
from signalbox.infra.telemetry import BatchSink

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

MAX_MINUTES = 1_440
"""Minutes whose sums wait for an absent database; beyond that neighbours are merged, so that memory stays bounded."""

OWN_APP = "signalbox"
"""The app of calls that the hub itself makes."""

AT_ONCE = 500
"""Calls that are added up and packed at once: some 0.4 milliseconds' work."""

Rows = list[dict[str, Any]]

MINUTES_AT_ONCE = 60
"""Minutes written at once, oldest first: after an outage they are many."""


class Recorder:
    """Counts and keeps calls; shows them at ``/metrics``.

    Sums are kept in memory until they are written, so an absent database costs rows at worst, never counts.
    A call counts in the minute in which it ended: minutes then never come back once they are written.
    """

    def __init__(self, context: Context, *, enabled: bool) -> None:
        self.enabled = enabled
        self._context = context
        self._writer = random.SystemRandom().getrandbits(62)
        self._sink: BatchSink[Block] = BatchSink(self._write, fill=self._sum_up, weigh=_calls_of)
        self._fresh: list[CallRow] = []
        """Calls that are in no sums yet, nor wait to be written: to take hundreds at once costs less for each."""
        self._minute = 0
        self._now: dict[Key, Sums] = {}
        self._unwritten: dict[int, dict[Key, Sums]] = {}
        self._encoded: dict[int, Rows] = {}
        """Rows of unwritten minutes that have ended: encoded once, however often their writing fails."""
        self._past: dict[Key, Sums] = {}

    def record(self, call: CallRow) -> None:
        """Take one finished call, its values in the order of ``Call``; never blocks."""
        if self.enabled:
            self._fresh.append(call)
            if len(self._fresh) >= AT_ONCE:
                self._sum_up()

    def record_own(self, call: OwnCall) -> None:
        """Take one finished call that the hub itself made; statistics name whom it called as the upstream."""
        self.record(
            (
                call.started_at,
                call.path,
                call.route,
                call.service,
                call.method,
                call.status,
                call.micros,
                call.request_bytes,
                call.response_bytes,
                "",
                OWN_APP,
                call.request_id,
            )
        )

    def current(self) -> Mapping[Key, Sums]:
        """The sums of the current minute; another mapping each minute."""
        self._sum_up()
        return self._now

    def open(self) -> None:
        """Begin to write."""
        self._sink.open()
        self._context.metrics.register(self)

    async def close(self) -> None:
        """Write what waits, then stop."""
        await self._sink.close()

    async def flush(self) -> None:
        """Write what waits now."""
        await self._sink.flush()

    def collect(self) -> Iterator[Metric]:
        """Prometheus families; labels are bounded, since routes are templates and never raw paths."""
        self._sum_up()
        totals: dict[Key, Sums] = {}
        _merge(totals, self._past)
        _merge(totals, self._now)
        yield from _families(totals)
        yield GaugeMetricFamily("signalbox_calls_waiting", "Recorded calls not yet written.", self._sink.waiting)
        yield CounterMetricFamily("signalbox_calls_dropped", "Recorded calls lost unwritten.", self._sink.dropped)

    def _sum_up(self) -> None:
        fresh, self._fresh = self._fresh, []
        self._sink.record_all(pack(fresh))
        start = 0
        while start < len(fresh):
            end = self._end_of_minute(fresh, start)
            groups: dict[Key, list[CallRow]] = {}
            for call in fresh[start:end]:
                groups.setdefault(key_of(call), []).append(call)
            for key, calls in groups.items():
                self._now.setdefault(key, Sums()).add_all(calls)
            start = end

    def _end_of_minute(self, calls: list[CallRow], start: int) -> int:
        """Where the minute of the call at ``start`` ends among the calls after it; turns to that minute."""
        ended = _ended(calls[start])
        if ended >= self._minute + MINUTE:
            self._turn(ended - ended % MINUTE)
        following = self._minute + MINUTE
        ends = [call[CREATED_AT] + call[MICROS] for call in calls]
        if max(ends[start:]) < following:
            return len(calls)
        return next(place for place in range(start, len(calls)) if ends[place] >= following)

    def _turn(self, minute: int) -> None:
        _merge(self._past, self._now)
        self._minute = minute
        self._now = self._unwritten[minute] = {}
        if len(self._unwritten) > MAX_MINUTES:  # the oldest may be written in part already, the others are not at all
            _, early, late, *_ = self._unwritten
            _merge(self._unwritten[late], self._unwritten.pop(early))
            self._encoded.pop(early, None)
            self._encoded.pop(late, None)

    async def _write(self, blocks: list[Block]) -> None:
        await self._write_some(blocks)
        with contextlib.suppress(UnavailableError):  # minutes that are left wait for the next time
            while len(self._unwritten) > 1:
                await self._write_some([])

    async def _write_some(self, blocks: list[Block]) -> None:
        minutes = [*self._unwritten][:MINUTES_AT_ONCE]
        ended = [minute for minute in minutes if minute != self._minute]
        rows = [row for minute in minutes for row in self._rows(minute)]
        await self._context.calls_db.write(store.write_batch, blocks, rows)
        for minute in ended:
            self._unwritten.pop(minute, None)
            self._encoded.pop(minute, None)

    def _rows(self, minute: int) -> Rows:
        rows = self._encoded.get(minute)
        if rows is None:
            rows = [self._row(minute, key, sums) for key, sums in self._unwritten[minute].items()]
            if minute != self._minute:
                self._encoded[minute] = rows
        return rows

    def _row(self, minute: int, key: Key, sums: Sums) -> dict[str, Any]:
        return {"minute": minute, "writer": self._writer, **sums.to_row(key)}


def _calls_of(block: Block) -> int:
    calls: int = block["calls"]
    return calls


def _ended(call: CallRow) -> int:
    return call[CREATED_AT] + call[MICROS]


def _merge(totals: dict[Key, Sums], part: dict[Key, Sums]) -> None:
    for key, sums in part.items():
        totals.setdefault(key, Sums()).merge(sums)


def _families(totals: dict[Key, Sums]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "signalbox_gateway_requests", "Calls through the gateway.", labels=("upstream", "route", "method", "status")
    )
    received = CounterMetricFamily("signalbox_gateway_request_bytes", "Bytes of request bodies.", labels=("upstream",))
    sent = CounterMetricFamily("signalbox_gateway_response_bytes", "Bytes of answer bodies.", labels=("upstream",))
    seconds = HistogramMetricFamily(
        "signalbox_gateway_request_seconds", "Seconds from request to end of answer.", labels=("upstream", "route")
    )
    by_upstream: dict[str, Sums] = {}
    by_route: dict[tuple[str, str], Sums] = {}
    for (upstream, route, method, status), sums in totals.items():
        requests.add_metric((upstream, route, method, str(status)), sums.count)
        by_upstream.setdefault(upstream, Sums()).merge(sums)
        by_route.setdefault((upstream, route), Sums()).merge(sums)
    for upstream, sums in by_upstream.items():
        received.add_metric((upstream,), sums.request_bytes)
        sent.add_metric((upstream,), sums.response_bytes)
    for labels, sums in by_route.items():
        seconds.add_metric(labels, _prometheus_buckets(sums), sums.micros / MICROSECONDS)
    yield from (requests, received, sent, seconds)


def _prometheus_buckets(sums: Sums) -> list[tuple[str, float]]:
    limits = [round(bound * MICROSECONDS) for bound in SECONDS_BUCKETS]
    counts = sums.latency.below(limits)
    pairs = [(str(bound), float(count)) for bound, count in zip(SECONDS_BUCKETS, counts, strict=True)]
    return [*pairs, ("+Inf", float(sums.count))]
