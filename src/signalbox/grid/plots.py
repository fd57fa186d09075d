"""Plots as SVG markup.

They carry CSS classes and no style of their own, so a page with a strict Content-Security-Policy may hold them; its
style sheet has the rules of ``STYLE`` and ``DARK``, whose colours are custom properties. Every text is escaped. Lengths
are in units of the view box; a plot is as wide as its place.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from html import escape
from typing import Any, Final, NamedTuple

WIDTH: Final = 860
HEIGHT: Final = 260
LEFT: Final = 64
RIGHT: Final = 14
TOP: Final = 14
BOTTOM: Final = 30

COLOURS: Final = 5
"""Series beyond so many take the colours of the first again."""

_LABELS: Final = 7
_LABEL_WIDTH: Final = 66
_STEPS: Final = 4
_BARS_WIDTH: Final = 330
_BAR: Final = 30
_BAR_LEFT: Final = 80
_BAR_RIGHT: Final = 78
_MOST_DOTS: Final = 62

STYLE: Final = """
.plot{--plot-1:#2563ab;--plot-2:#b4530a;--plot-3:#17805f;--plot-4:#7a4bb5;--plot-5:#b23a6b;
--plot-text:#57606a;--plot-grid:#e3e7ec;display:block;width:100%;height:auto;font:11px system-ui,sans-serif}
.plot text{fill:var(--plot-text)}.plot .grid{stroke:var(--plot-grid);stroke-width:1}
.plot .value{font-weight:600;font-variant-numeric:tabular-nums}.plot .end{text-anchor:end}.plot .middle{text-anchor:middle}
.plot .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.plot .band{fill-opacity:.13}
.plot .s1{--c:var(--plot-1)}.plot .s2{--c:var(--plot-2)}.plot .s3{--c:var(--plot-3)}.plot .s4{--c:var(--plot-4)}
.plot .s5{--c:var(--plot-5)}.plot .line{stroke:var(--c)}.plot .band,.plot .dot,.plot .bar{fill:var(--c)}
"""
"""The looks of plots in a light page."""

DARK: Final = """
.plot{--plot-1:#6cb0f5;--plot-2:#f0a15c;--plot-3:#4fc79b;--plot-4:#b797ee;--plot-5:#ee86b3;
--plot-text:#9aa7b4;--plot-grid:#2a323c}.plot .band{fill-opacity:.2}
"""
"""What differs in a dark page."""


class _Scale(NamedTuple):
    """From values to places."""

    days: dict[str, int]
    ticks: list[float]

    def x(self, day: str) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (self.days[day] + 0.5) / len(self.days)

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))


def draw_days(rows: Sequence[dict[str, Any]], *, label: str) -> str:
    """Daily averages of one measurement type: for each component type the mean, and from minimum to maximum a band.

    Days without readings are gaps. ``label`` says to those who cannot see it what it shows.
    """
    days = _days([date.fromisoformat(row["day"]) for row in rows])
    ticks = spread(min(row["min_value"] for row in rows), max(row["max_value"] for row in rows))
    scale = _Scale(days, ticks)
    parts = [_axes(scale)]
    for place, kind in enumerate(kinds_of(rows)):
        own = sorted((row for row in rows if row["component_type"] == kind), key=lambda row: str(row["day"]))
        drawn = "".join(_run(run, scale) for run in _runs(own, days))
        parts.append(f'<g class="{series_class(place)}">{drawn}</g>')
    return _svg(WIDTH, HEIGHT, label, parts)


def draw_bars(bars: Sequence[tuple[str, float]], *, unit: str, label: str) -> str:
    """A bar for each name and value, one below the other; values are at least 0."""
    most = max((value for _, value in bars), default=0.0) or 1.0
    parts = []
    for place, (name, value) in enumerate(bars):
        width = (_BARS_WIDTH - _BAR_LEFT - _BAR_RIGHT) * value / most
        middle = place * _BAR + _BAR / 2
        parts.append(
            f'<text class="end" x="{_BAR_LEFT - 8}" y="{middle + 4:.1f}">{escape(name)}</text>'
            f'<rect class="bar s1" x="{_BAR_LEFT}" y="{middle - 8:.1f}" width="{width:.1f}" height="16" rx="3"/>'
            f'<text class="value" x="{_BAR_LEFT + width + 8:.1f}" y="{middle + 4:.1f}">{_number(value)}{_unit(unit)}</text>'
        )
    return _svg(_BARS_WIDTH, max(len(bars), 1) * _BAR, label, parts)


def kinds_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The component types of rows, in the order of their colours."""
    return sorted({str(row["component_type"]) for row in rows})


def series_class(place: int) -> str:
    """The CSS class of the series at a place, which gives it its colour."""
    return f"s{place % COLOURS + 1}"


def spread(low: float, high: float) -> list[float]:
    """Round values at equal steps, some five of them, that hold all from ``low`` to ``high``."""
    if high <= low:
        margin = abs(low) / 10 or 1.0
        low, high = low - margin, high + margin
    step = _round_up((high - low) / _STEPS)
    first = int(low // step)
    count = -int(-(high - first * step) // step)
    return [(first + place) * step for place in range(max(count, 1) + 1)]


def _round_up(step: float) -> float:
    """The next of 1, 2, 5, 10 and so on."""
    power = 10.0 ** int(f"{step:e}".partition("e")[2])
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def _days(found: Sequence[date]) -> dict[str, int]:
    """All days from the first to the last, with their places."""
    first = min(found)
    return {(first + timedelta(days=place)).isoformat(): place for place in range((max(found) - first).days + 1)}


def _axes(scale: _Scale) -> str:
    parts = []
    for value in scale.ticks:
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 8}" y="{y + 4:.1f}">{_number(value)}</text>')
    every = -(-len(scale.days) // _LABELS)
    for day in list(scale.days)[::every]:
        x = min(scale.x(day), WIDTH - _LABEL_WIDTH / 2)
        parts.append(f'<text class="middle" x="{x:.1f}" y="{HEIGHT - 8}">{escape(day)}</text>')
    return "".join(parts)


def _runs(rows: Sequence[dict[str, Any]], days: dict[str, int]) -> list[list[dict[str, Any]]]:
    """Rows of days that follow each other in the plot."""
    runs: list[list[dict[str, Any]]] = []
    for row in rows:
        if runs and days[row["day"]] == days[runs[-1][-1]["day"]] + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _run(rows: Sequence[dict[str, Any]], scale: _Scale) -> str:
    there = [(scale.x(row["day"]), scale.y(row["max_value"])) for row in rows]
    back = [(scale.x(row["day"]), scale.y(row["min_value"])) for row in reversed(rows)]
    places = [(scale.x(row["day"]), scale.y(row["avg_value"])) for row in rows]
    band = f'<polygon class="band" points="{_points([*there, *back])}"/>'
    line = f'<polyline class="line" points="{_points(places)}"/>'
    if len(scale.days) > _MOST_DOTS and len(rows) > 1:
        return band + line
    told = [f"{row['day']}: {_number(row['avg_value'])}" for row in rows]
    dots = [
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(text)}</title></circle>'
        for (x, y), text in zip(places, told, strict=True)
    ]
    return band + line + "".join(dots)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {width:g} {height:g}" role="img"'
    return f'{head} aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _number(value: float) -> str:
    return f"{value:,.6g}"


def _unit(unit: str) -> str:
    return f" {escape(unit)}" if unit else ""
