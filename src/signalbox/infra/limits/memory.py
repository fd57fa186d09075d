"""Limits kept in the memory of one process, exact as long as a key is remembered.

What is kept is the log of each key: the times of its permits. Keys without a permit that counts are swept, a few at
each call. Memory is bounded in keys and in permits. At a bound keys are forgotten, from the rate that keeps most, and
of those looked at the least used first. That is what is given up: a forgotten key begins afresh, so within one window
it may be granted what it had used already besides its limit. Nobody is refused because of others, and a key that is
remembered is never granted more than its limit. Who calls from millions of addresses thus mostly pushes out his own.
"""

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from heapq import nlargest
from typing import Any, TypeAlias

from signalbox.core.errors import InvalidError
from signalbox.core.rates import Rate
from signalbox.core.times import MICROSECONDS
from signalbox.infra.clock import Clock
from signalbox.infra.limits import Demands, KeyUsage, Quota, Usage, Verdict

MAX_KEYS = 1_000_000
MAX_PERMITS = 10_000_000

_SHARDS = 1_024
"""Keys are spread over this many dictionaries for each rate, so that to grow one, or to look through it, takes
microseconds: a single dictionary with a million keys would stop everything for 30 ms whenever it grows."""
_MASK = _SHARDS - 1
_PERIOD = 256
"""Look whether there is room, and sweep, at least every so many permits."""
_PACE = 2
"""Keys that are looked at for each permit: more than can be new with it, so that garbage cannot pile up."""
_VISIT = 24
"""What it costs to visit a shard besides its keys, in keys."""
_CANDIDATES = 256
"""Look for the least used among at least so many keys."""
_YIELD = 512
"""Give way to others after looking at so many keys."""

Log: TypeAlias = "int | array[int]"
"""A permit's time; or the times of several, in order, from the place on that element 0 names: those before it are over.

No object of ours around the array, which would take as much memory again; and of a million addresses that called once
each, which are mere numbers, the garbage collector sees nothing.
"""
Shard = dict[str, Log]

_new_verdict: Callable[[tuple[Any, ...]], Verdict] = partial(tuple.__new__, Verdict)
"""Without the handling of keywords, which takes longer than the rest of making one."""


class _Window:
    """The logs of all keys of one rate."""

    __slots__ = ("_hand", "keys", "length", "limit", "permits", "shards")

    def __init__(self, rate: Rate) -> None:
        self.limit, self.length = rate.limit, rate.window
        self.shards: list[Shard] = [{} for _ in range(_SHARDS)]
        self._hand = 0
        self.keys = 0
        self.permits = 0
        """Times that are stored, those that are over and not deleted yet included."""

    def take(self, key: str, now: int) -> Quota | None:
        """Add a permit to a key's log if there is room; how the demand stands then, None if there was none."""
        shard = self.shards[hash(key) & _MASK]
        log = shard.get(key)
        if not isinstance(log, array):
            return self._begin(shard, key, log, now)
        start, size = log[0], len(log)
        oldest = log[start]
        over = now - self.length
        if oldest <= over:
            start += 1
            if start == size or (oldest := log[start]) <= over:  # at a steady pace only one permit is over, else many
                start = bisect_right(log, over, start)
                if start == size:
                    self.permits -= size - 2
                    shard[key] = now
                    return self.limit - 1, self.length
                oldest = log[start]
            if start > size // 2:  # seldom enough that moving what is left costs nothing on average
                del log[1:start]
                self.permits -= start - 1
                size -= start - 1
                start = 1
            log[0] = start
        left = self.limit + start - size
        if left <= 0:
            return None
        log.append(now)
        self.permits += 1
        return left - 1, oldest - over

    def _begin(self, shard: Shard, key: str, log: int | None, now: int) -> Quota | None:
        """As ``take``, for a key with one permit or none."""
        if log is None:
            self.keys += 1
            self.permits += 1
        elif log > now - self.length:
            if self.limit == 1:
                return None
            shard[key] = array("q", (1, log, now))
            self.permits += 1
            return self.limit - 2, log + self.length - now
        shard[key] = now
        return self.limit - 1, self.length

    def count(self, log: Log, now: int) -> tuple[int, int]:
        """How many permits of a log count, and the time of the oldest of them, ``now`` where there is none."""
        over = now - self.length
        if isinstance(log, int):
            return (1, log) if log > over else (0, now)
        start = log[0] if log[log[0]] > over else bisect_right(log, over, log[0])
        return (len(log) - start, log[start]) if start < len(log) else (0, now)

    def give_back(self, key: str) -> None:
        """Undo the latest ``take`` of a key."""
        shard = self.shards[hash(key) & _MASK]
        log = shard[key]
        if isinstance(log, int):
            self._drop(shard, key)
        else:
            log.pop()
            self.permits -= 1

    def look(self, key: str, now: int) -> tuple[int, int]:
        """How many permits of a key count, and the time of the oldest of them, ``now`` where there is none."""
        log = self.shards[hash(key) & _MASK].get(key)
        return (0, now) if log is None else self.count(log, now)

    def sweep(self, shard: Shard, now: int) -> None:
        """Drop the keys none of whose permits count."""
        over = now - self.length
        for key in [key for key, log in shard.items() if (log if isinstance(log, int) else log[-1]) <= over]:
            self._drop(shard, key)

    def forget(self, now: int) -> None:
        """Look at the next few keys, and drop those none of whose permits count; if all do, the least used quarter.

        Of keys that are used alike those go that have been kept longest. There must be a key.
        """
        before, looked_at = self.keys, 0
        candidates: list[tuple[str, Shard]] = []
        while looked_at < _SHARDS and len(candidates) < _CANDIDATES:
            shard = self.shards[self._hand]
            self._hand = (self._hand + 1) & _MASK
            looked_at += 1
            if shard:
                self.sweep(shard, now)
                candidates += [(key, shard) for key in shard]
        if self.keys == before:
            candidates.sort(key=lambda each: self.count(each[1][each[0]], now)[0])
            for key, shard in candidates[: len(candidates) // 4 + 1]:
                self._drop(shard, key)

    def usages(self, shard: Shard, now: int) -> list[KeyUsage]:
        """How many permits of each key of a shard count."""
        return [KeyUsage(key, self.count(log, now)[0]) for key, log in shard.items()]

    def _drop(self, shard: Shard, key: str) -> None:
        self.keys -= 1
        self.permits -= _stored(shard.pop(key))


class MemoryLimiter:
    """The memory version of the seam, for one thread.

    ``max_keys`` and ``max_permits``, at least as many as a call has demands, bound what is kept for all rates together.
    A key takes 115 bytes and one for each letter with its first permit, 80 more with the second, then 8 to 16 for each.
    """

    def __init__(self, clock: Clock, *, max_keys: int = MAX_KEYS, max_permits: int = MAX_PERMITS) -> None:
        self._clock = clock
        self._max_keys, self._max_permits = max_keys, max_permits
        self._windows: dict[Rate, _Window] = {}
        self._latest = 0
        self._period = self._left = 0
        """Permits that can be granted from one look at the bounds, with some sweeping, to the next; and from now on."""
        self._behind = 0
        """How many keys the sweep should have looked at and has not."""
        self._places = self._walk()

    @property
    def keys(self) -> int:
        """How many keys are kept, with those that are over and not swept yet."""
        return sum(window.keys for window in self._windows.values())

    @property
    def permits(self) -> int:
        """How many permits are kept, with those that are over and not deleted yet."""
        return sum(window.permits for window in self._windows.values())

    async def take(self, demands: Demands) -> Verdict:
        """See ``Limiter``."""
        return self.take_now(demands, self._now())

    def take_now(self, demands: Demands, now: int) -> Verdict:
        """See ``LocalLimiter``."""
        given = now
        if now > self._latest:
            self._latest = now
        else:
            now = self._latest
        self._left -= len(demands)
        if self._left < 0:
            self._tidy(len(demands), now)
        windows = self._windows
        quotas = []
        for key, rate in demands.items():
            quota = (windows.get(rate) or self._open(rate, demands, key)).take(key, now)
            if quota is None:
                return self._refuse(demands, key, given)
            quotas.append(quota)
        if given < now:
            quotas = [(left, reset + now - given) for left, reset in quotas]
        return _new_verdict((True, None, 0, quotas))

    def _refuse(self, demands: Demands, refused_by: str, given: int) -> Verdict:
        """The verdict on demands of which one has no room, when those before it have been taken."""
        self._give_back(demands, refused_by)
        retry_after = 0
        quotas = []
        for key, rate in demands.items():
            window = self._windows.get(rate)
            used, oldest = (0, 0) if window is None else window.look(key, self._latest)
            reset = oldest + rate.window - given if used else 0
            quotas.append((rate.limit - used, reset))
            if used == rate.limit and reset > retry_after:
                refused_by, retry_after = key, reset
        return _new_verdict((False, refused_by, retry_after, quotas))

    def _give_back(self, demands: Demands, end: str) -> None:
        """Undo the taking of the demands before the key ``end``."""
        for key, rate in demands.items():
            if key == end:
                return
            self._windows[rate].give_back(key)

    async def usage(self, prefix: str, rate: Rate, *, top: int = 10) -> Usage:
        """See ``Limiter``; gives way to others after each few hundred keys."""
        now = max(self._latest, self._now())
        window = self._windows.get(rate)
        keys = looked_at = 0
        fullest: list[KeyUsage] = []
        if window is None:
            return Usage(0, fullest)
        for shard in window.shards:
            used = [each for each in window.usages(shard, now) if each.used and each.key.startswith(prefix)]
            keys += len(used)
            fullest = nlargest(top, fullest + used, key=lambda each: each.used)
            looked_at += len(shard) + _VISIT
            if looked_at > _YIELD:
                looked_at = 0
                await asyncio.sleep(0)
        return Usage(keys, fullest)

    def _now(self) -> int:
        return round(self._clock.monotonic() * MICROSECONDS)

    def _open(self, rate: Rate, demands: Demands, key: str) -> _Window:
        """Begin to keep a rate, met at ``key``."""
        if rate.limit > self._max_permits:
            self._give_back(demands, key)
            msg = f"at most {self._max_permits} permits can be counted exactly here, so {rate} is too many"
            raise InvalidError(msg)
        window = self._windows[rate] = _Window(rate)
        return window

    def _tidy(self, needed: int, now: int) -> None:
        """Sweep a few keys, and forget some if there is no room for the permits that are about to be granted."""
        self._behind += self._period * _PACE
        while self._behind > 0 and self._windows:
            window, shard = next(self._places)
            self._behind -= len(shard) + _VISIT
            if shard:
                window.sweep(shard, now)
        keys, permits = self.keys, self.permits
        while keys and min(self._max_keys - keys, self._max_permits - permits) < needed:
            self._forget(now, keys_short=self._max_keys - keys < needed)
            keys, permits = self.keys, self.permits
        self._period = min(_PERIOD, self._max_keys - keys, self._max_permits - permits)
        self._left = self._period - needed

    def _forget(self, now: int, *, keys_short: bool) -> None:
        """Forget keys of the rate that keeps most of what is short."""
        windows = self._windows.values()
        window = max(windows, key=lambda each: each.keys) if keys_short else max(windows, key=lambda each: each.permits)
        window.forget(now)

    def _walk(self) -> Iterator[tuple[_Window, Shard]]:
        """All shards, again and again; rates that no key has any more are dropped, but for the last."""
        while True:
            for rate, window in list(self._windows.items()):
                if not window.keys and len(self._windows) > 1:
                    del self._windows[rate]
                    continue
                for shard in window.shards:
                    yield window, shard


def _stored(log: Log) -> int:
    return 1 if isinstance(log, int) else len(log) - 1
