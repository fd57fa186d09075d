from datetime import UTC, datetime

import pytest

from signalbox.core.times import HOUR, MINUTE, to_datetime
from signalbox.gateway.errors import RangeTooLongError
from signalbox.gateway.heatmap import BOUNDS, map_latencies
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.schemas import Filters, Heatmap, Step
from signalbox.infra.context import Context
from tests.gateway.conftest import START, made_call


async def mapped(context: Context, filters: Filters | None = None, *, step: Step = "minute", now: int) -> Heatmap:
    return await context.calls_db.read(map_latencies, filters or Filters(), step=step, now=now)


async def record(context: Context, *calls: tuple[int, int, str]) -> None:
    """Calls that began at a moment after START, took so many microseconds, and went to an upstream."""
    recorder = Recorder(context, enabled=True)
    for at, micros, upstream in calls:
        recorder.record(made_call(created_at=START + at, micros=micros, upstream=upstream))
    await recorder.close()


def counts(**places: int) -> list[int]:
    """As many calls at each place as named: ``at_3=2``."""
    wanted = {int(name.removeprefix("at_")): count for name, count in places.items()}
    return [wanted.get(place, 0) for place in range(len(BOUNDS) + 1)]


async def test_calls_stand_at_the_first_bound_that_they_do_not_exceed(context: Context) -> None:
    await record(
        context,
        (0, 1, "a"),
        (1, 1_000, "a"),
        (2, 1_001, "a"),
        (3, 5_000, "b"),
        (4, 60_000_000, "a"),
        (5, 60_000_001, "a"),
    )
    found = await mapped(context, now=START + 5 * MINUTE)
    assert found.bounds == list(BOUNDS)
    assert (found.since, found.until) == (to_datetime(START - 54 * MINUTE), to_datetime(START + 6 * MINUTE))
    assert [(row.start, row.counts) for row in found.rows] == [
        (datetime(2026, 1, 1, tzinfo=UTC), counts(at_0=2, at_1=1, at_2=1)),
        (datetime(2026, 1, 1, 0, 1, tzinfo=UTC), counts(at_14=1, at_15=1)),
    ]


async def test_by_upstream_and_by_hour(context: Context) -> None:
    await record(context, (0, 500, "a"), (10 * MINUTE, 500, "a"), (0, 500, "b"), (HOUR, 3_000, "a"))
    found = await mapped(context, Filters(upstream="a"), step="hour", now=START + HOUR)
    assert [row.counts for row in found.rows] == [counts(at_0=2), counts(at_2=1)]
    assert (await mapped(context, Filters(upstream="c"), now=START)).rows == []


async def test_a_range_that_is_too_long_is_refused(context: Context) -> None:
    with pytest.raises(RangeTooLongError):
        await mapped(context, Filters(since=START, until=START + 2_000 * MINUTE), now=START)
