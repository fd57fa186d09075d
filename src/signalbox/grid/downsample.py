"""Fewer points that look like many."""

from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from signalbox.grid.chunks import Times, Values

Method = Literal["min", "max", "mean", "lttb"]

FEWEST: Final = 3
"""Points that LTTB needs: two ends and one between."""


def downsample(at: Times, value: Values, *, points: int, method: Method) -> tuple[Times, Values]:
    """At most ``points`` (3 or more) of readings that are sorted by time; all, where there are no more of them.

    ``min`` and ``max`` give a reading of each of as many equal stretches of time, ``mean`` the mean at each one's
    beginning, ``lttb`` the readings that keep the shape of the line.
    """
    if len(at) <= points:
        return at, value
    if method == "lttb":
        chosen = largest_triangles(at, value, points)
        return at[chosen], value[chosen]
    first, length = int(at[0]), int(at[-1]) - int(at[0]) + 1
    width = -(-length // points)
    stretch = (at - first) // width
    starts = np.flatnonzero(np.diff(stretch, prepend=-1))
    n = np.diff(starts, append=len(at))
    if method == "mean":
        return first + stretch[starts] * width, np.add.reduceat(value, starts) / n
    extremes = (np.minimum if method == "min" else np.maximum).reduceat(value, starts)
    hits = np.flatnonzero(value == np.repeat(extremes, n))
    chosen = hits[np.diff(stretch[hits], prepend=-1) != 0]  # the first of equal ones
    return at[chosen], value[chosen]


def largest_triangles(at: Times, value: Values, points: int) -> npt.NDArray[np.int64]:
    """Places of ``points`` readings by Largest-Triangle-Three-Buckets (Steinarsson, 2013)."""
    count = len(at)
    edges = 1 + np.arange(points - 1) * (count - 2) // (points - 2)
    time = (at - at[0]).astype(np.float64)
    chosen = np.empty(points, np.int64)
    chosen[0], chosen[-1], before = 0, count - 1, 0
    for place in range(points - 2):
        begin, end = int(edges[place]), int(edges[place + 1])
        following = slice(end, int(edges[place + 2])) if place + 2 < len(edges) else slice(count - 1, count)
        next_time, next_value = time[following].mean(), value[following].mean()
        base = (time[before] - next_time) * (value[begin:end] - value[before])
        area = np.abs(base - (time[before] - time[begin:end]) * (next_value - value[before]))
        before = begin + int(area.argmax())
        chosen[place + 1] = before
    return chosen
