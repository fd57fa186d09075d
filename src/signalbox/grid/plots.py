"""Lines as SVG."""

from collections.abc import Sequence
from html import escape
from typing import Any, Final, NamedTuple

WIDTH: Final = 860
HEIGHT: Final = 240
LEFT: Final = 70
RIGHT: Final = 12
TOP: Final = 24
BOTTOM: Final = 28

COLOURS: Final = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989")

_LABELS: Final = 6


class _Scale(NamedTuple):
    """From values to places."""

    days: dict[str, int]
    low: float
    high: float

    def x(self, day: str) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (self.days[day] + 0.5) / len(self.days)

    def y(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def draw(rows: Sequence[dict[str, Any]]) -> str:
    """Daily averages of one measurement type: for each component type the mean, and from minimum to maximum a band."""
    days = {day: place for place, day in enumerate(sorted({row["day"] for row in rows}))}
    scale = _Scale(days, min(row["min_value"] for row in rows), max(row["max_value"] for row in rows))
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-size="11">']
    parts += _axes(scale)
    for place, kind in enumerate(sorted({row["component_type"] for row in rows})):
        colour = COLOURS[place % len(COLOURS)]
        own = sorted((row for row in rows if row["component_type"] == kind), key=lambda row: str(row["day"]))
        parts += [_band(own, scale, colour), _line(own, scale, colour)]
        parts.append(f'<text x="{LEFT + 130 * place}" y="14" fill="{colour}">{escape(kind)}</text>')
    return "".join(parts) + "</svg>"


def _axes(scale: _Scale) -> list[str]:
    parts = []
    for step in range(3):
        value = scale.low + (scale.high - scale.low) * step / 2
        y = scale.y(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d5dae0"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#57606a">{value:.5g}</text>')
    every = -(-len(scale.days) // _LABELS)
    for day in list(scale.days)[::every]:
        x, y = scale.x(day), HEIGHT - 8
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle" fill="#57606a">{escape(day)}</text>')
    return parts


def _band(rows: Sequence[dict[str, Any]], scale: _Scale, colour: str) -> str:
    there = [(scale.x(row["day"]), scale.y(row["max_value"])) for row in rows]
    back = [(scale.x(row["day"]), scale.y(row["min_value"])) for row in reversed(rows)]
    return f'<polygon points="{_points([*there, *back])}" fill="{colour}" fill-opacity="0.12"/>'


def _line(rows: Sequence[dict[str, Any]], scale: _Scale, colour: str) -> str:
    places = [(scale.x(row["day"]), scale.y(row["avg_value"])) for row in rows]
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>' for x, y in places)
    return f'<polyline points="{_points(places)}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}'


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
