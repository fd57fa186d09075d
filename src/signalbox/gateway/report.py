"""Failing upstreams in the log: the first of each second, with a count of those between."""

import logging

from signalbox.infra.clock import Clock
from signalbox.infra.http import HttpClientError

INTERVAL = 1.0

_log = logging.getLogger(__name__)


class FailureLog:
    """Reports failures of upstreams without flooding the log: at most one line a second for each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def report(self, upstream: str, error: HttpClientError) -> None:
        """Log a failure, or count it for the next line."""
        now = self._clock.monotonic()
        if now - self._last.get(upstream, -INTERVAL) < INTERVAL:
            self._unsaid[upstream] = self._unsaid.get(upstream, 0) + 1
            return
        self._last[upstream] = now
        details = {"upstream": upstream, "code": error.code, "reason": str(error)}
        _log.warning("upstream failed", extra={**details, "more_failures": self._unsaid.pop(upstream, 0)})
