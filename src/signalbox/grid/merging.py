"""Sorting readings into buckets, a bucket being what one chunk holds: a series on a UTC day."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from signalbox.core.times import DAY
from signalbox.grid.chunks import Times, Values
from signalbox.grid.rollups import Index

Marks = npt.NDArray[np.bool_]


class Readings(NamedTuple):
    """Columns of the same length; times in microseconds UTC."""

    series: Index
    at: Times
    value: Values

    def take(self, which: Index | Marks | slice) -> Self:
        """Some of them."""
        return type(self)(self.series[which], self.at[which], self.value[which])


class Bucket(NamedTuple):
    """A series on a day, days being counted from 1970 in UTC."""

    series: int
    day: int


def join(parts: list[Readings]) -> Readings:
    """One behind the other."""
    if not parts:
        return Readings(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Readings(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def sort(readings: Readings) -> tuple[Readings, Index | None]:
    """By series, then time; equal ones keep their order. The order taken; None where they were sorted."""
    series, at = readings.series, readings.at
    before, after = series[:-1], series[1:]
    if bool(((after > before) | ((after == before) & (at[1:] >= at[:-1]))).all()):
        return readings, None
    order = np.lexsort((at, series))
    return readings.take(order), order


def repeats(readings: Readings) -> Marks:
    """Of sorted readings, which have the series and time of the one before."""
    marks = np.zeros(len(readings.at), dtype=np.bool_)
    marks[1:] = (readings.at[1:] == readings.at[:-1]) & (readings.series[1:] == readings.series[:-1])
    return marks


def bucket_starts(readings: Readings) -> Index:
    """Where the buckets of sorted readings begin."""
    series, day = readings.series, readings.at // DAY
    change = np.ones(len(day), dtype=np.bool_)
    change[1:] = (day[1:] != day[:-1]) | (series[1:] != series[:-1])
    return np.flatnonzero(change)


def buckets_at(readings: Readings, starts: Index) -> list[Bucket]:
    """The buckets that begin there."""
    days = readings.at[starts] // DAY
    return [Bucket(*each) for each in zip(readings.series[starts].tolist(), days.tolist(), strict=True)]


def split(readings: Readings, *, size: Callable[[], int]) -> Iterator[Readings]:
    """Sorted readings in pieces of whole buckets: as many as have at most ``size`` readings, or one that has more.

    ``size`` is asked anew for each piece.
    """
    bounds = np.append(bucket_starts(readings), len(readings.at))
    first = 0
    while first < len(bounds) - 1:
        begin = int(bounds[first])
        following = max(first + 1, int(np.searchsorted(bounds, begin + size(), side="right")) - 1)
        yield readings.take(slice(begin, int(bounds[following])))
        first = following
