"""Live figures: how an upstream did in the last minute.

Times are seconds of ``Clock.monotonic``.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from signalbox.gateway.sums import Key, Sums
from signalbox.infra.telemetry import Histogram

INTERVAL = 10.0
"""Seconds between samples."""
SLOTS = 5
"""Samples that are kept; with what came since the last one, figures cover 50 to 60 seconds."""

_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Figures:
    """How an upstream did lately."""

    seconds: float
    """The time that the figures cover."""
    calls: int
    failed: int
    """Calls that ended with a status from 500, be it the upstream's or the gateway's own for it."""
    p50: float | None
    p95: float | None
    p99: float | None
    """Microseconds from the head of the request to the end of the answer; None without calls."""

    @property
    def rate(self) -> float:
        """Calls in a second."""
        return self.calls / self.seconds if self.seconds > 0 else 0.0

    @property
    def error_rate(self) -> float | None:
        """Share of failed calls, 0 to 1; None without calls."""
        return self.failed / self.calls if self.calls else None


class _Tally:
    """What the calls of one upstream add up to."""

    __slots__ = ("calls", "failed", "latency")

    def __init__(self) -> None:
        self.calls = self.failed = 0
        self.latency = Histogram()

    def add(self, calls: int, failed: int, buckets: Mapping[int, int], *, sign: int = 1) -> None:
        self.calls += sign * calls
        self.failed += sign * failed
        own = self.latency.buckets
        for bucket, count in buckets.items():
            own[bucket] = own.get(bucket, 0) + sign * count


_Tallies = dict[str, _Tally]


class Vitals:
    """Figures of all upstreams, read from the sums that the recorder keeps anyway: a call costs nothing more.

    ``current`` gives all sums of the current minute so far, and another mapping each minute. ``sample`` is to be
    called every 10 seconds; calls of a minute that begins and ends between two samples would be missed.
    """

    def __init__(self, current: Callable[[], Mapping[Key, Sums]], *, now: float) -> None:
        self._current = current
        self._minute = current()
        self._seen = _by_upstream(self._minute)
        self._sampled_at = now
        self._slots: deque[tuple[float, _Tallies]] = deque(maxlen=SLOTS)

    def sample(self, now: float) -> None:
        """Keep what came since the last sample; what came over a minute ago is forgotten."""
        minute = self._current()
        seen = _by_upstream(minute)
        self._slots.append((self._sampled_at, self._fresh(minute, seen)))
        self._minute, self._seen, self._sampled_at = minute, seen, now

    def figures(self, now: float) -> dict[str, Figures]:
        """Figures by upstream; one that had no calls is left out."""
        minute = self._current()
        total = self._fresh(minute, _by_upstream(minute))
        for _, tallies in self._slots:
            _merge(total, tallies)
        seconds = now - (self._slots[0][0] if self._slots else self._sampled_at)
        return {name: _to_figures(tally, seconds) for name, tally in total.items() if tally.calls}

    def _fresh(self, minute: Mapping[Key, Sums], seen: _Tallies) -> _Tallies:
        """What came since the last sample: the rest of the minute sampled then, and all of one that has begun."""
        fresh: _Tallies = {}
        _merge(fresh, seen)
        if minute is not self._minute:
            _merge(fresh, _by_upstream(self._minute))
        _merge(fresh, self._seen, sign=-1)
        return fresh


def _by_upstream(sums: Mapping[Key, Sums]) -> _Tallies:
    tallies: _Tallies = {}
    for (upstream, _, _, status), each in sums.items():
        failed = each.count if status >= _SERVER_ERROR else 0
        tallies.setdefault(upstream, _Tally()).add(each.count, failed, each.latency.buckets)
    return tallies


def _merge(total: _Tallies, part: _Tallies, *, sign: int = 1) -> None:
    for name, tally in part.items():
        total.setdefault(name, _Tally()).add(tally.calls, tally.failed, tally.latency.buckets, sign=sign)


def _to_figures(tally: _Tally, seconds: float) -> Figures:
    present = Histogram({bucket: count for bucket, count in tally.latency.buckets.items() if count})
    p50, p95, p99 = present.quantiles(0.5, 0.95, 0.99)
    return Figures(seconds=seconds, calls=tally.calls, failed=tally.failed, p50=p50, p95=p95, p99=p99)
