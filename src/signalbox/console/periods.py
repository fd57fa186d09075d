"""Pictures of a period of calls, as the server draws them: statuses stacked over time, and a heat map of latencies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from signalbox.console.formats import absolute, number, rate, seconds
from signalbox.console.plots import heat
from signalbox.gateway.heatmap import BOUNDS
from signalbox.gateway.period import Column, Period
from signalbox.gateway.schemas import Step

HEIGHT: Final = 180.0
"""Pixels of a picture without its axis."""
FEWEST_ROWS: Final = 7
"""Rows of a heat map at least; fewer would be huge."""

CLASSES: Final = (("2xx", 4), ("3xx", 6), ("4xx", 2), ("5xx", 3))
"""Classes of statuses from the bottom of the stack: name, colour."""


@dataclass(frozen=True, slots=True)
class Span:
    """A period that can be chosen: columns of ``width`` steps each."""

    title: str
    step: Step
    width: int
    columns: int

    @property
    def last(self) -> str:
        """``last hour``, ``last 7 days``."""
        return f"last {self.title.removeprefix('1 ')}"


SPANS: Final[Mapping[str, Span]] = MappingProxyType(
    {
        "1h": Span("1 hour", "minute", 1, 60),
        "6h": Span("6 hours", "minute", 5, 72),
        "24h": Span("24 hours", "hour", 1, 24),
        "7d": Span("7 days", "hour", 3, 56),
    }
)
"""By what stands in the address."""
DEFAULT: Final = "1h"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: horizontally in percent, vertically in pixels; ``style`` is its class."""

    x: float
    width: float
    y: float
    height: float
    style: str


@dataclass(frozen=True, slots=True)
class Strip:
    """A column of the picture that says what it shows when it is pointed at."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A word at the left edge, ``y`` pixels from the top."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What a template draws."""

    boxes: Sequence[Box]
    strips: Sequence[Strip]
    marks: Sequence[Mark]
    text: str
    """The same for who cannot see it."""


def span_of(name: str | None) -> tuple[str, Span]:
    """The period of this name; one that does not exist is the default one."""
    known = name if name is not None and name in SPANS else DEFAULT
    return known, SPANS[known]


def count_classes(period: Period) -> list[int]:
    """Calls of the whole period by class of their status."""
    return [sum(counts) for counts in zip(*(column.classes for column in period.columns), strict=True)]


def count_latencies(period: Period) -> list[tuple[str, int]]:
    """How long the calls of the whole period took, without classes that nothing fell into: ``("up to 5 ms", 12)``."""
    sums = [sum(counts) for counts in zip(*(column.latencies for column in period.columns), strict=True)]
    names = [*(f"up to {bound_text(bound)}" for bound in BOUNDS), f"over {bound_text(BOUNDS[-1])}"]
    return [(name, count) for name, count in zip(names, sums, strict=True) if count]


def draw_statuses(period: Period) -> Picture:
    """A bar for each column, of the classes of statuses upon each other."""
    most = max((column.calls for column in period.columns), default=0)
    wide = 100 / len(period.columns)
    boxes: list[Box] = []
    for place, column in enumerate(period.columns):
        top = HEIGHT
        for (_, color), count in zip(CLASSES, column.classes, strict=True):
            height = HEIGHT * count / most if most else 0.0
            top -= height
            if count:
                boxes.append(_box(place, wide, top, height, f"series-{color}"))
    classes = zip(CLASSES, count_classes(period), strict=True)
    said = ", ".join(f"{number(count)} {name}" for (name, _), count in classes if count)
    marks = [Mark(10, _rate(most, period.seconds)), Mark(HEIGHT / 2 + 4, _rate(most / 2, period.seconds))]
    text = f"Calls by status over time: {said or 'none'}"
    return Picture(boxes, _strips(period, wide), marks if most else [], text)


def draw_latencies(period: Period) -> Picture:
    """A cell for each column and class of latency, the darker the more calls; slower is higher."""
    first, rows = _rows_shown(period)
    most = max((max(column.latencies) for column in period.columns), default=0)
    wide, high = 100 / len(period.columns), HEIGHT / rows
    boxes = [
        _box(place, wide, HEIGHT - (row + 1) * high, high, f"heat-{heat(column.latencies[first + row], most)}")
        for place, column in enumerate(period.columns)
        for row in range(rows)
        if first + row < len(column.latencies) and column.latencies[first + row]
    ]
    marks = [
        Mark(HEIGHT - (row + 1) * high + 4, bound_text(BOUNDS[first + row]))
        for row in range(rows - 1)
        if first + row < len(BOUNDS) and (rows <= FEWEST_ROWS or (first + row) % 3 == 0)
    ]
    totals = period.totals
    text = "Latencies over time: no calls"
    if totals.calls:
        text = f"Latencies over time: half of the calls within {seconds(totals.p50_seconds)}, 99 % within {seconds(totals.p99_seconds)}"
    return Picture(boxes, _strips(period, wide), marks, text)


def bound_text(bound: float) -> str:
    """``20 ms``, ``5 s``."""
    return f"{bound * 1_000:g} ms" if bound < 1 else f"{bound:g} s"


def _rows_shown(period: Period) -> tuple[int, int]:
    """The lowest class of latency that is shown, and how many are."""
    used = [row for row in range(len(BOUNDS) + 1) if any(column.latencies[row] for column in period.columns)]
    first, last = (max(used[0] - 1, 0), min(used[-1] + 1, len(BOUNDS))) if used else (0, 0)
    rows = max(last - first + 1, FEWEST_ROWS)
    return max(0, min(first, len(BOUNDS) + 1 - rows)), rows


def _strips(period: Period, wide: float) -> list[Strip]:
    return [Strip(round(place * wide, 3), round(wide, 3), _say(column)) for place, column in enumerate(period.columns)]


def _say(column: Column) -> str:
    said = [f"{number(count)} {name}" for (name, _), count in zip(CLASSES, column.classes, strict=True) if count]
    return f"{absolute(column.start)}: {', '.join(said) or 'no calls'}"


def _box(place: int, wide: float, y: float, height: float, style: str) -> Box:
    """A box that leaves a gap to its neighbour."""
    return Box(round(place * wide, 3), round(wide * 0.88, 3), round(y, 2), round(max(height - 0.6, 0.6), 2), style)


def _rate(calls: float, span: int) -> str:
    return f"{rate(calls / span)}/s"
