"""A period at one look: what its calls add up to, by upstream and over time, out of one reading of the sums."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from signalbox.core.times import MICROSECONDS, to_datetime
from signalbox.gateway.call_blocks import FAILED
from signalbox.gateway.heatmap import count_latencies
from signalbox.gateway.schemas import Filters, Step, Totals
from signalbox.gateway.service import MAX_ROWS, STEPS, Tally, add_up, find_parts
from signalbox.gateway.store import Part
from signalbox.infra.telemetry import Histogram

CLASSES = 4
"""Classes of statuses: up to 2xx, 3xx, 4xx, 5xx."""


@dataclass(frozen=True, slots=True)
class Column:
    """The calls of some time; every column of a period is as long."""

    start: datetime
    classes: Sequence[int]
    """Calls by class of their status: up to 2xx, 3xx, 4xx, 5xx."""
    latencies: Sequence[int]
    """Calls by how long they took, as in ``HeatmapRow``."""

    @property
    def calls(self) -> int:
        """All of them."""
        return sum(self.classes)


@dataclass(frozen=True, slots=True)
class Period:
    """``columns`` follow each other without a gap, also where there were no calls; ``seconds`` is how long one is."""

    since: datetime
    until: datetime
    seconds: int
    totals: Totals
    upstreams: Sequence[tuple[str, Totals]]
    """By name; the empty name stands for calls that no upstream claimed."""
    columns: Sequence[Column]


def describe_period(
    tx: Connection,
    filters: Filters,
    *,
    step: Step,
    width: int,
    columns: int,
    now: int,
    max_rows: int = MAX_ROWS,
) -> Period:
    """The last ``columns`` times ``width`` steps, the one that has not ended included.

    Columns begin at multiples of their length, so that those that have ended look the same at every look.

    Raises:
        RangeTooLongError: that is too long for such steps.
    """
    size = STEPS[step] * width
    until = (now // size + 1) * size
    since = until - columns * size
    wanted, parts = find_parts(tx, filters._replace(since=since, until=until), step=step, now=now, max_rows=max_rows)
    classes = [[0] * CLASSES for _ in range(columns)]
    tallies: dict[tuple[int, str], Tally] = {}
    for part in parts:
        place = (part.start - since) // size
        classes[place][_class_of(part.status)] += part.sums.count
        tallies.setdefault((place, part.upstream), Tally()).merge(part.sums, succeeded=_succeeded(part))
    return Period(
        since=to_datetime(wanted.since or 0),
        until=to_datetime(wanted.until or 0),
        seconds=size // MICROSECONDS,
        totals=add_up(tallies.values()).totals(),
        upstreams=_by_upstream(tallies),
        columns=[
            Column(to_datetime(since + place * size), counts, _latencies(tallies, place))
            for place, counts in enumerate(classes)
        ],
    )


def _by_upstream(tallies: Mapping[tuple[int, str], Tally]) -> list[tuple[str, Totals]]:
    names = sorted({name for _, name in tallies})
    return [(name, add_up(each for (_, of), each in tallies.items() if of == name).totals()) for name in names]


def _latencies(tallies: Mapping[tuple[int, str], Tally], place: int) -> list[int]:
    latency = Histogram()
    for (at, _), tally in tallies.items():
        if at == place:
            latency.merge(tally.sums.latency)
    return count_latencies(latency)


def _class_of(status: int) -> int:
    return min(max(status // 100 - 2, 0), CLASSES - 1)


def _succeeded(part: Part) -> int:
    return part.sums.count if part.status < FAILED else 0
