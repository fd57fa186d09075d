"""The permits of one key under one rate, as they are kept in a row."""

import struct
from bisect import bisect_right
from typing import Self

from signalbox.core.rates import Rate

ENTRIES = 1_024
"""Moments that are told apart in a window. Limits up to this are exact to the microsecond. Of larger ones, permits of the
same 1,024th of a window count until the last of them is over: never more than the limit, and a thousandth of it less at
times. So a row is at most 12 KB, however large the limit."""

_ENTRY = struct.calcsize("<qI")


class PermitLog:
    """When permits were given out. Times are microseconds of one clock.

    A permit of the moment ``t`` counts before ``t + rate.window``. ``t`` may lie in the future: then the permit may be
    used up to that moment, and counts from now on.
    """

    def __init__(self, rate: Rate, stamps: list[int], counts: list[int]) -> None:
        self._rate, self._stamps, self._counts = rate, stamps, counts
        self.used = sum(counts)
        """Permits that count; those that were over when ``expire`` was called are left out."""

    @classmethod
    def empty(cls, rate: Rate) -> Self:
        """A log without permits."""
        return cls(rate, [], [])

    @classmethod
    def load(cls, rate: Rate, data: bytes) -> Self:
        """The log that ``dump`` wrote."""
        size = len(data) // _ENTRY
        values = struct.unpack(f"<{size}q{size}I", data)
        return cls(rate, list(values[:size]), list(values[size:]))

    def dump(self) -> bytes:
        """As bytes, 12 for each moment at which permits were given out."""
        size = len(self._stamps)
        return struct.pack(f"<{size}q{size}I", *self._stamps, *self._counts)

    @property
    def ends_at(self) -> int:
        """When no permit counts any more; 0 where there is none."""
        return self._stamps[-1] + self._rate.window if self._stamps else 0

    @property
    def newest(self) -> int:
        """The moment of the latest permit; 0 where there is none."""
        return self._stamps[-1] if self._stamps else 0

    def expire(self, now: int) -> None:
        """Forget the permits that are over."""
        over = bisect_right(self._stamps, now - self._rate.window)
        if over:
            self.used -= sum(self._counts[:over])
            del self._stamps[:over], self._counts[:over]

    def add(self, count: int, at: int) -> None:
        """Give out permits of the moment ``at``; the caller has made sure that there is room."""
        grid = -(-self._rate.window // ENTRIES) if self._rate.limit > ENTRIES else 1
        at = -(-at // grid) * grid
        place = bisect_right(self._stamps, at)
        if place and self._stamps[place - 1] == at:
            self._counts[place - 1] += count
        else:
            self._stamps.insert(place, at)
            self._counts.insert(place, count)
        self.used += count

    def room_at(self, room: int) -> int:
        """When ``room`` permits, at most the limit, can be had if none is taken before; 0 where they can be had at once."""
        missing = room - (self._rate.limit - self.used)
        if missing <= 0:
            return 0
        for stamp, count in zip(self._stamps, self._counts, strict=True):
            missing -= count
            if missing <= 0:
                return stamp + self._rate.window
        msg = f"{room} permits can never be had under {self._rate}"
        raise ValueError(msg)
