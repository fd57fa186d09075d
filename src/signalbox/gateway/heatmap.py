"""How long calls took, over time: the picture that percentiles only hint at."""

from itertools import pairwise

from sqlalchemy import Connection

from signalbox.core.times import MICROSECONDS, to_datetime
from signalbox.gateway.schemas import Filters, Heatmap, HeatmapRow, Step
from signalbox.gateway.service import MAX_ROWS, STEPS, find_parts
from signalbox.infra.telemetry import Histogram

BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
"""Seconds, in steps that look alike on a logarithmic axis; each is a bound of the stored histograms, so counts are exact."""

_LIMITS = [round(bound * MICROSECONDS) for bound in BOUNDS]


def map_latencies(tx: Connection, filters: Filters, *, step: Step, now: int, max_rows: int = MAX_ROWS) -> Heatmap:
    """Calls by step of time and by how long they took; which range is meant, and why it is refused, as in ``summarize``.

    Raises:
        RangeTooLongError: the range is too long for such steps.
    """
    filters, parts = find_parts(tx, filters, step=step, now=now, max_rows=max_rows)
    size = STEPS[step]
    latencies: dict[int, Histogram] = {}
    for part in parts:
        latencies.setdefault(part.start // size * size, Histogram()).merge(part.sums.latency)
    return Heatmap(
        since=to_datetime(filters.since or 0),
        until=to_datetime(filters.until or 0),
        step=step,
        bounds=list(BOUNDS),
        rows=[
            HeatmapRow(start=to_datetime(start), counts=count_latencies(each))
            for start, each in sorted(latencies.items())
        ],
    )


def count_latencies(latency: Histogram) -> list[int]:
    """How many took at most each of ``BOUNDS`` and longer than the one before; the last: longer than all."""
    below = [0, *latency.below(_LIMITS), latency.count]
    return [later - earlier for earlier, later in pairwise(below)]
