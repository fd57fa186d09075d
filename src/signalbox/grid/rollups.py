"""Count, mean, M2, minimum and maximum of readings, and how such sums are merged.

M2 is the sum of squared differences from the mean: M2 / n is the population variance. Sums are merged by the formula of
Chan, Golub and LeVeque (1979) for many parts: M2 = sum(M2_i + n_i (mean_i - mean)^2). A plain sum of squares would lose
all digits of readings such as 1e9 +- 1. Of equal readings the mean is the reading and M2 is 0, exactly.

A day is stored as 24 hours and as 96 quarters of an hour, each 36 bytes (little-endian): u32 n, f64 mean, f64 M2,
f64 min, f64 max; zeros where there is no reading.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from signalbox.core.times import DAY, HOUR, MINUTE
from signalbox.grid.chunks import Times, Values

QUARTER: Final = 15 * MINUTE
QUARTERS: Final = DAY // QUARTER
HOURS: Final = DAY // HOUR

PART: Final = np.dtype([("n", "<u4"), ("mean", "<f8"), ("m2", "<f8"), ("min", "<f8"), ("max", "<f8")])

Index = npt.NDArray[np.int64]


class Sums(NamedTuple):
    """Sums of groups of readings, an element for each group; groups without a reading have n = 0."""

    n: Index
    mean: Values
    m2: Values
    min: Values
    max: Values

    def take(self, which: Index) -> Self:
        """Some of the groups."""
        return type(self)(self.n[which], self.mean[which], self.m2[which], self.min[which], self.max[which])


class DayRollups(NamedTuple):
    """Rollups of several days, in their order."""

    day: Sums
    occupied: Index
    """Bit h says that there is a reading in hour h."""
    hours: list[bytes]
    quarters: list[bytes]


def sum_readings(value: Values, starts: Index) -> Sums:
    """Sums of neighbours; each group begins at one of ``starts`` and ends where the next begins."""
    n = np.diff(starts, append=len(value))
    mean = np.add.reduceat(value, starts) / n
    m2 = np.add.reduceat((value - np.repeat(mean, n)) ** 2, starts)
    return _unrounded(Sums(n, mean, m2, np.minimum.reduceat(value, starts), np.maximum.reduceat(value, starts)))


def join_sums(parts: list[Sums]) -> Sums:
    """Groups one behind the other."""
    n, mean, m2, low, high = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Sums(n, mean, m2, low, high)


def merge_neighbours(parts: Sums, starts: Index) -> Sums:
    """Sums of neighbouring parts, none of them empty; groups as in ``sum_readings``."""
    n = np.add.reduceat(parts.n, starts)
    mean = np.add.reduceat(parts.n * parts.mean, starts) / n
    away = parts.mean - np.repeat(mean, np.diff(starts, append=len(parts.n)))
    m2 = np.add.reduceat(parts.m2 + parts.n * away**2, starts)
    low, high = np.minimum.reduceat(parts.min, starts), np.maximum.reduceat(parts.max, starts)
    return _unrounded(Sums(n, mean, m2, low, high))


def merge_groups(parts: Sums, group: Index, size: int) -> Sums:
    """Sums of ``size`` groups; ``group`` says for each part, none of them empty, to which it belongs."""
    n = np.bincount(group, weights=parts.n, minlength=size).astype(np.int64)  # weights are exact up to 2**53
    mean = np.bincount(group, weights=parts.n * parts.mean, minlength=size) / np.maximum(n, 1)
    m2 = np.bincount(group, weights=parts.m2 + parts.n * (parts.mean - mean[group]) ** 2, minlength=size).astype(
        np.float64
    )
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(low, group, parts.min)
    np.maximum.at(high, group, parts.max)
    return _unrounded(Sums(n, mean, m2, low, high))


def roll_up_days(at: Times, value: Values, starts: Index) -> DayRollups:
    """Rollups of readings that are sorted by time within each day; a day begins at each of ``starts``."""
    first = np.arange(len(starts)) * QUARTERS - at[starts] // DAY * QUARTERS  # of each day, less what came before it
    quarter = at // QUARTER + np.repeat(first, np.diff(starts, append=len(at)))
    begins = np.flatnonzero(np.diff(quarter, prepend=-1))
    by_quarter, quarter = sum_readings(value, begins), quarter[begins]
    hour = quarter // (QUARTERS // HOURS)
    begins = np.flatnonzero(np.diff(hour, prepend=-1))
    by_hour, hour = merge_neighbours(by_quarter, begins), hour[begins]
    begins = np.flatnonzero(np.diff(hour // HOURS, prepend=-1))
    occupied = np.bitwise_or.reduceat(np.int64(1) << hour % HOURS, begins)
    return DayRollups(
        merge_neighbours(by_hour, begins),
        occupied,
        pack(by_hour, hour, rows=len(starts), width=HOURS),
        pack(by_quarter, quarter, rows=len(starts), width=QUARTERS),
    )


def _unrounded(sums: Sums) -> Sums:
    """Rounding carries the mean of equal readings past them, by what would be their deviation."""
    equal = sums.min == sums.max
    return sums._replace(mean=np.where(equal, sums.min, sums.mean), m2=np.where(equal, 0.0, sums.m2))


def unpack(rows: Sequence[bytes], width: int) -> npt.NDArray[np.void]:
    """Stored hours or quarters, of one day or several in each of ``rows``: an array of ``PART``, a row for each day."""
    return np.frombuffer(b"".join(rows), PART).reshape(-1, width)


def pack(parts: Sums, place: Index, *, rows: int, width: int) -> list[bytes]:
    """What ``unpack`` reads: ``place`` says for each part where it goes, row by row; elsewhere are zeros."""
    packed = np.zeros(rows * width, PART)
    for name, column in parts._asdict().items():
        packed[name][place] = column
    size, whole = width * PART.itemsize, packed.tobytes()
    return [whole[start : start + size] for start in range(0, len(whole), size)]
