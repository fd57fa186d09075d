"""The geometry of pictures that the server draws as SVG: gauge, bars, heat map. Templates write the elements.

Nothing here needs a script, nor a style in the page, which our Content-Security-Policy forbids.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

GAUGE_RADIUS = 80.0
HOTTEST = 5
MAX_PIECES = 12


@dataclass(frozen=True, slots=True)
class Arc:
    """A piece of a gauge: the path of its stroke, and whether it is lit."""

    path: str
    lit: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a chart of ``width`` 100; positions in percent."""

    label: str
    value: float
    width: float


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a stacked bar, in percent of its whole."""

    name: str
    value: float
    start: float
    width: float


def gauge(level: int | None, *, lowest: int = 1, highest: int = 5) -> list[Arc]:
    """Half a ring in as many pieces as there are levels, the first at the left; those up to ``level`` are lit."""
    levels = min(MAX_PIECES, highest - lowest + 1)
    lit = 0 if level is None else math.ceil((level - lowest + 1) * levels / (highest - lowest + 1))
    gap, whole = 2.0, 180.0 / levels
    return [
        Arc(_arc(180 - index * whole - gap / 2, 180 - (index + 1) * whole + gap / 2), lit=index < lit)
        for index in range(levels)
    ]


def tint(level: int, *, lowest: int = 1, highest: int = 5) -> int:
    """Which of the five colours of levels stands for a level of a scale, 1 (calm) to 5 (critical)."""
    if highest <= lowest:
        return 1
    return 1 + round(4 * (min(highest, max(lowest, level)) - lowest) / (highest - lowest))


def bars(values: Sequence[tuple[str, float]]) -> list[Bar]:
    """Horizontal bars; the longest takes all the width."""
    most = max((value for _, value in values), default=0) or 1
    return [Bar(label, value, round(100 * max(0, value) / most, 2)) for label, value in values]


def stack(values: Sequence[tuple[str, float]]) -> list[Piece]:
    """One bar of parts that add up to all of its width; parts of nothing are left out."""
    whole = sum(value for _, value in values)
    pieces: list[Piece] = []
    start = 0.0
    for name, value in values:
        if value <= 0:
            continue
        width = 100 * value / whole
        pieces.append(Piece(name, value, round(start, 3), round(width, 3)))
        start += width
    return pieces


def heat(value: float, most: float) -> int:
    """How hot a cell of a heat map is, 0 (nothing) to 5 (as much as the most), on a scale of roots.

    The number of calls in a cell varies by orders of magnitude; on a linear scale all but the fullest would look empty.
    """
    if value <= 0 or most <= 0:
        return 0
    return max(1, min(HOTTEST, math.ceil(HOTTEST * math.sqrt(value / most))))


def ratio(part: float, whole: float) -> float:
    """Percent that ``part`` is of ``whole``, 0 to 100."""
    return 0.0 if whole <= 0 else round(min(100.0, max(0.0, 100 * part / whole)), 2)


PLOTS: dict[str, Callable[..., Any]] = {
    "gauge_arcs": gauge,
    "tint_of": tint,
    "bars_of": bars,
    "stack_of": stack,
    "heat_of": heat,
    "percent_of": ratio,
}
"""As templates know them."""


def _arc(begin: float, end: float) -> str:
    """A stroke along the ring, from one angle to another in degrees, around (100, 100)."""
    (x0, y0), (x1, y1) = (_point(angle) for angle in (begin, end))
    return f"M {x0:.2f} {y0:.2f} A {GAUGE_RADIUS:g} {GAUGE_RADIUS:g} 0 0 1 {x1:.2f} {y1:.2f}"


def _point(angle: float) -> tuple[float, float]:
    radians = math.radians(angle)
    return 100 + GAUGE_RADIUS * math.cos(radians), 100 - GAUGE_RADIUS * math.sin(radians)
