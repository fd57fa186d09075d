"""How many sign-ins may fail: an exact sliding window for each key, in memory.

An attempt under way counts as a failure until it ends, and is then dated by its end. So however many run at
once, no window of that length, placed anywhere, holds more failures than allowed.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final

from signalbox.auth.errors import TooManyAttemptsError
from signalbox.core.times import MICROSECONDS, MINUTE

MAX_KEYS: Final = 20_000
"""More keys than this cannot fail within a minute: passwords are checked a few at a time."""


@dataclass(slots=True)
class _Log:
    failures: deque[int] = field(default_factory=deque)
    under_way: int = 0

    def forget(self, before: int) -> None:
        while self.failures and self.failures[0] <= before:
            self.failures.popleft()


class Attempts:
    """Failures by key; a key is whatever is to be limited by itself."""

    def __init__(self, *, window: int = MINUTE, max_keys: int = MAX_KEYS) -> None:
        self._window, self._max_keys = window, max_keys
        self._logs: OrderedDict[Hashable, _Log] = OrderedDict()

    def begin(self, limits: Mapping[Hashable, int], *, now: int) -> None:
        """Start an attempt that counts for each key; ``now`` in microseconds. Every ``begin`` needs its ``end``.

        Raises:
            TooManyAttemptsError: a key has reached its limit; nothing was counted.
        """
        self._drop_old(now)
        for key, limit in limits.items():
            self._check(key, limit, now)
        if len(self._logs) + len(limits) > self._max_keys:
            msg = "too many sign-ins fail at the moment; try again later"
            raise TooManyAttemptsError(msg, retry_after=self._window / MICROSECONDS)
        for key in limits:
            self._logs.setdefault(key, _Log()).under_way += 1
            self._logs.move_to_end(key)

    def end(self, limits: Mapping[Hashable, int], *, now: int, failed: bool) -> None:
        """End an attempt that ``begin`` started with the same keys."""
        for key in limits:
            log = self._logs[key]
            log.under_way -= 1
            if failed:
                log.failures.append(now)
            elif not log.under_way and not log.failures:
                del self._logs[key]

    def _check(self, key: Hashable, limit: int, now: int) -> None:
        log = self._logs.get(key)
        if log is None:
            return
        log.forget(now - self._window)
        if len(log.failures) + log.under_way >= limit:
            # the oldest failure that must go before one more fits; none if all places are under way
            excess = len(log.failures) + log.under_way - limit
            wait = log.failures[min(excess, len(log.failures) - 1)] + self._window - now if log.failures else 0
            msg = "too many sign-ins failed; try again later"
            raise TooManyAttemptsError(msg, retry_after=max(1.0, wait / MICROSECONDS))

    def _drop_old(self, now: int) -> None:
        """Forget keys from the longest untouched on, up to the first that still counts."""
        while self._logs:
            key, log = next(iter(self._logs.items()))
            log.forget(now - self._window)
            if log.failures or log.under_way:
                return
            del self._logs[key]
