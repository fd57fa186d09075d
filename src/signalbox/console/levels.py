"""A level over time as steps, coloured by level, as the server draws them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from signalbox.console.formats import absolute
from signalbox.console.periods import Box, Mark, Picture, Strip
from signalbox.console.plots import tint
from signalbox.criticality.schemas import Step

HEIGHT: Final = 180.0
"""Pixels of the picture without its axis."""
MOST_MARKS: Final = 6
"""Words at the left edge at most."""
_THICK: Final = 4.0
"""Pixels of the line on top of a step."""


def draw_steps(steps: Sequence[Step], *, lowest: int, highest: int, since: datetime, until: datetime) -> Picture:
    """What a level stood at from ``since`` to ``until``: each step as high as its level; higher is worse."""
    boxes: list[Box] = []
    strips: list[Strip] = []
    ends = [*(each.at for each in steps[1:]), until][: len(steps)]
    for step, end in zip(steps, ends, strict=True):
        begin = max(step.at, since)
        x, width = _place(begin, max(begin, end), since, until)
        top = _top(step.level, lowest, highest)
        shade = tint(step.level, lowest=lowest, highest=highest)
        boxes.append(Box(x, width, top, HEIGHT - top, f"fill-{shade} faint"))
        boxes.append(Box(x, width, top, _THICK, f"fill-{shade}"))
        strips.append(Strip(x, width, _say(step)))
    return Picture(boxes, strips, _marks(lowest, highest), _text(steps))


def _place(begin: datetime, end: datetime, since: datetime, until: datetime) -> tuple[float, float]:
    """Where a step lies and how wide it is, in percent; no step is too narrow to be seen."""
    whole = (until - since).total_seconds()
    width = max(0.3, 100 * (end - begin).total_seconds() / whole)
    x = 100 * (begin - since).total_seconds() / whole
    return round(min(x, 100 - width), 3), round(width, 3)


def _top(level: int, lowest: int, highest: int) -> float:
    return round(HEIGHT - HEIGHT * (level - lowest + 1) / (highest - lowest + 1), 2)


def _marks(lowest: int, highest: int) -> list[Mark]:
    apart = -(-(highest - lowest + 1) // MOST_MARKS)
    return [Mark(_top(each, lowest, highest) + 12, str(each)) for each in range(lowest, highest + 1, apart)]


def _say(step: Step) -> str:
    extremes = f" ({step.lowest} to {step.highest})" if step.lowest != step.highest else ""
    reason = f": {step.reason}" if step.reason else ""
    return f"{absolute(step.at)}: level {step.level}{extremes}, by {step.set_by}{reason}"


def _text(steps: Sequence[Step]) -> str:
    if not steps:
        return "Level over time: none is known"
    worst = max(each.highest for each in steps)
    return f"Level over time: now {steps[-1].level}, at worst {worst}, {len(steps) - 1} changes"
