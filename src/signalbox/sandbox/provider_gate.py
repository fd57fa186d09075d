"""The limit of the simulated task provider, kept as strictly as a real one would, and a record of who kept to it."""

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from signalbox.core.rates import Rate
from signalbox.core.times import MICROSECONDS

MOST_ARRIVALS: Final = 1_000_000
"""Calls that are remembered."""


class Arrival(NamedTuple):
    """A call as it came in."""

    at: float
    """Seconds of the gate's clock."""
    route: str
    """``submit``, ``list``, ``batch``, ``item`` or ``lookup``."""
    admitted: bool


class Gate:
    """Lets at most so many calls through in any window; all times are seconds of one clock that the caller reads."""

    def __init__(self, limits: Iterable[Rate] = ()) -> None:
        self.limits: Sequence[Rate] = tuple(limits)
        self.arrivals: deque[Arrival] = deque(maxlen=MOST_ARRIVALS)
        self.refused = 0
        """Calls over a limit, answered with 429: each one a violation."""
        self.impatient = 0
        """Calls that came before the end of a time that the provider had said to wait."""
        self.calls: Counter[str] = Counter()
        """Admitted ones, by route."""
        self._recent: list[deque[float]] = [deque() for _ in self.limits]
        self._closed_until = -math.inf

    def admit(self, route: str, now: float) -> float:
        """Count a call; 0 lets it through, else it is to be refused, for so many seconds."""
        self.impatient += now < self._closed_until
        wait = max(map(self._wait, self.limits, self._recent, [now] * len(self.limits)), default=0.0)
        self.arrivals.append(Arrival(now, route, admitted=not wait))
        if wait:
            self.refused += 1
            self.close(now + math.ceil(wait))
            return wait
        self.calls[route] += 1
        for recent in self._recent:
            recent.append(now)
        return 0.0

    def close(self, until: float) -> None:
        """Remember that callers have been told to stay away until then."""
        self._closed_until = max(self._closed_until, until)

    def busiest(self, rate: Rate) -> int:
        """Most calls, admitted or not, that came within any window of the rate's length."""
        times = [arrival.at for arrival in self.arrivals]
        most = first = 0
        for last, at in enumerate(times):
            while times[first] <= at - rate.window / MICROSECONDS:
                first += 1
            most = max(most, last - first + 1)
        return most

    @staticmethod
    def _wait(rate: Rate, recent: deque[float], now: float) -> float:
        """Seconds until the rate lets another call through."""
        window = rate.window / MICROSECONDS
        while recent and recent[0] <= now - window:
            recent.popleft()
        return recent[0] + window - now if len(recent) >= rate.limit else 0.0
