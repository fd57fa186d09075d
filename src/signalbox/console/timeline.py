"""Where something stood for how long: the stretches of a line that templates draw as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

SHORTEST = 0.4
"""Percent of the line below which a stretch would not be seen."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in one state. Positions are percent of the whole line."""

    name: str
    begin: datetime
    start: float
    width: float
    seconds: float
    """How long it lasted, or has lasted."""


def timeline(points: Sequence[tuple[datetime, str]], *, until: datetime) -> list[Stretch]:
    """The states of something, from when each began (oldest first) until the next; the last lasts ``until``.

    What lasted a moment is drawn as wide as can be seen, and takes that from nobody: stretches may lie over another.
    """
    if not points:
        return []
    first = points[0][0]
    whole = max((until - first).total_seconds(), 1e-6)
    ends = [at for at, _ in points[1:]] + [max(until, points[-1][0])]
    stretches = []
    for (begin, name), end in zip(points, ends, strict=True):
        seconds = max(0.0, (end - begin).total_seconds())
        width = min(100.0, max(SHORTEST, 100 * seconds / whole))
        start = min(100 - width, max(0.0, 100 * (begin - first).total_seconds() / whole))
        stretches.append(Stretch(name, begin, round(start, 3), round(width, 3), seconds))
    return stretches
