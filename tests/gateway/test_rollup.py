import asyncio
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from signalbox.core.times import DAY, HOUR, MINUTE
from signalbox.gateway import rollup, service, store
from signalbox.gateway.errors import RangeTooLongError
from signalbox.gateway.models import call_hour, call_hour_due, call_minute
from signalbox.gateway.schemas import Dimension, Filters, Step, Summary
from signalbox.gateway.sums import Sums
from signalbox.infra.context import Context
from tests.gateway.conftest import START
from tests.support.databases import Place

SAME_CONTEXT = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
LATER = START + 30 * DAY


def minute_row(*durations: int, minute: int = START, writer: int = 1, **fields: Any) -> dict[str, Any]:
    """A process's row of a minute with calls of these durations."""
    sums = Sums()
    for micros in durations or (5_000,):
        sums.count += 1
        sums.micros += micros
        sums.request_bytes += 1
        sums.response_bytes += micros
        sums.latency.add(micros)
    key = {"upstream": "shop", "route": "/r", "method": "GET", "status": 200, **fields}
    row = sums.to_row((key["upstream"], key["route"], key["method"], key["status"]))
    return {"minute": minute, "writer": writer, **row}


async def write(context: Context, *rows: dict[str, Any]) -> None:
    await context.calls_db.write(store.write_batch, [], list(rows))


async def roll_up(context: Context, *, now: int = LATER, limit: int = 1) -> int:
    return await context.calls_db.write(rollup.roll_up_hours, now=now, limit=limit)


async def hours(context: Context) -> list[tuple[int, str, int, int]]:
    """Start, upstream, status and number of calls of what is rolled up."""
    query = sa.select(call_hour.c.hour, call_hour.c.upstream, call_hour.c.status, call_hour.c.count)
    return await context.calls_db.read(
        lambda tx: [(*row,) for row in tx.execute(query.order_by(*query.selected_columns))]
    )


async def due(context: Context) -> list[int]:
    return list(await context.calls_db.read(store.find_due_hours, until=2**60, limit=10**6))


async def summary(
    context: Context, filters: Filters, *, step: Step, by: Dimension = "upstream", **rest: Any
) -> Summary:
    return await context.calls_db.read(service.summarize, filters, step=step, by=by, now=LATER, **rest)


# -- building -------------------------------------------------------------------------------------------------------


async def test_an_hour_is_the_sum_of_the_minutes_of_all_writers(context: Context) -> None:
    await write(
        context, minute_row(1_000, 2_000), minute_row(3_000, writer=2), minute_row(4_000, minute=START + MINUTE)
    )
    await write(
        context, minute_row(9, status=500), minute_row(7, minute=START + HOUR - MINUTE), minute_row(upstream="b")
    )
    assert await roll_up(context) == 1
    assert await hours(context) == [(START, "b", 200, 1), (START, "shop", 200, 5), (START, "shop", 500, 1)]
    found = await context.calls_db.read(lambda tx: list(store.find_sums(tx, Filters(upstream="shop"), hours=True)))
    (part,) = (part for part in found if part.status == 200)
    assert (part.start, part.sums.micros, part.sums.request_bytes, part.sums.response_bytes) == (
        START,
        10_007,
        5,
        10_007,
    )
    assert part.sums.latency.count == 5


async def test_oldest_first_and_at_most_limit(context: Context) -> None:
    await write(context, *(minute_row(minute=START + number * HOUR) for number in (4, 0, 2)))
    assert await roll_up(context) == 1
    assert [hour for hour, *_ in await hours(context)] == [START]
    assert await roll_up(context, limit=5) == 2
    assert await roll_up(context, limit=5) == 0
    assert [hour for hour, *_ in await hours(context)] == [START, START + 2 * HOUR, START + 4 * HOUR]
    assert await due(context) == []


async def test_an_hour_waits_until_it_has_ended_two_hours_ago(context: Context) -> None:
    await write(context, minute_row(minute=START + HOUR - MINUTE))
    assert await roll_up(context, now=START + 3 * HOUR - 1) == 0
    assert await roll_up(context, now=START + 3 * HOUR) == 1


async def test_a_late_minute_makes_its_hour_due_again(context: Context) -> None:
    await write(context, minute_row())
    await roll_up(context)
    await write(context, minute_row(1, 2, 3), minute_row(writer=2, status=404))
    assert await due(context) == [START]
    assert (await summary(context, Filters(since=START), step="day")).totals.calls == 4
    assert await roll_up(context) == 1
    assert await hours(context) == [(START, "shop", 200, 3), (START, "shop", 404, 1)]


async def test_doing_it_again_changes_nothing(context: Context) -> None:
    await write(context, minute_row())
    await roll_up(context)
    before = await hours(context)
    await context.calls_db.write(lambda tx: tx.execute(call_hour_due.insert(), [{"hour": START}]) and None)
    assert await roll_up(context) == 1
    assert await hours(context) == before


async def test_minutes_stay(context: Context) -> None:
    await write(context, minute_row())
    await roll_up(context)
    found = await context.calls_db.read(lambda tx: list(store.find_sums(tx, Filters())))
    assert [part.sums.count for part in found] == [1]


async def test_a_batch_without_minutes_makes_nothing_due(context: Context) -> None:
    await write(context)
    assert await due(context) == []


async def test_several_processes_may_do_it_while_others_write(context: Context, place: Place) -> None:
    """Whoever comes first, at no moment and at no end does an hour lack minutes or count them twice."""
    other = place.open_calls()

    async def keep_writing(writer: int) -> None:
        for number in range(30):
            hour = START + number % 3 * HOUR
            await write(context, minute_row(*[5] * (number + 1), minute=hour + number * MINUTE, writer=writer))

    async def keep_rolling_up() -> None:
        for _ in range(40):
            await other.write(rollup.roll_up_hours, now=LATER, limit=2)

    async def check() -> None:
        for _ in range(20):
            by_hour, by_minute = await context.calls_db.read(_calls_both_ways)
            assert by_hour == by_minute

    await asyncio.gather(*map(keep_writing, range(4)), keep_rolling_up(), keep_rolling_up(), roll_up(context), check())
    await roll_up(context, limit=9)
    assert sum(count for *_, count in await hours(context)) == 4 * sum(range(1, 31))
    await other.close()


async def test_a_roll_up_waits_for_minutes_that_are_on_their_way(context: Context, place: Place) -> None:
    """A writer that found its hour due already, and has yet to commit, must not be left out of it."""
    await write(context, minute_row())
    other, written, go_on = place.open_calls(), threading.Event(), threading.Event()

    def write_slowly(tx: Connection) -> None:
        store.write_batch(tx, [], [minute_row(writer=2)])
        written.set()
        assert go_on.wait(10)

    slow = asyncio.create_task(other.write(write_slowly))
    await asyncio.to_thread(written.wait, 10)
    rolling = asyncio.create_task(roll_up(context))
    await asyncio.sleep(0.2)
    assert not rolling.done()
    go_on.set()
    await asyncio.gather(slow, rolling)
    assert await hours(context) == [(START, "shop", 200, 2)]
    await other.close()


def _calls_both_ways(tx: Connection) -> tuple[int, int]:
    filters = Filters(since=START, until=START + DAY)
    by_hour, by_minute = (
        sum(part.sums.count for part in store.find_sums(tx, filters, hours=hours)) for hours in (True, False)
    )
    return by_hour, by_minute


# -- reading --------------------------------------------------------------------------------------------------------

rows = st.builds(
    lambda durations, minute, **fields: minute_row(*durations, minute=START + minute * MINUTE, **fields),
    st.lists(st.integers(1, 10**7), min_size=1, max_size=4),
    st.integers(0, 50 * 60),
    writer=st.integers(1, 3),
    upstream=st.sampled_from(["", "shop"]),
    route=st.sampled_from(["/r", "unmatched"]),
    method=st.sampled_from(["GET", "PUT"]),
    status=st.sampled_from([200, 302, 404, 503]),
)
acts = st.lists(st.one_of(st.lists(rows, max_size=8), st.tuples(st.integers(0, 60), st.integers(1, 20))), max_size=12)
"""What happens, in order: minutes are written, or some time after the start so many hours are rolled up."""
some_filters = st.builds(
    Filters,
    upstream=st.sampled_from([None, "shop"]),
    route=st.sampled_from([None, "/r"]),
    method=st.sampled_from([None, "PUT"]),
    status=st.sampled_from([None, (404, 404), (200, 399)]),
    since=st.integers(0, 30).map(lambda hour: START + hour * HOUR + 17),
    until=st.integers(31, 60).map(lambda hour: START + hour * HOUR - 17),
)


@SAME_CONTEXT
@given(acts=acts, filters=some_filters, by=st.sampled_from(["upstream", "route", "status"]))
@pytest.mark.parametrize("step", ["hour", "day"])
async def test_a_summary_is_that_of_the_minutes_however_far_they_are_rolled_up(
    context: Context, acts: list[Any], filters: Filters, by: Dimension, step: Step
) -> None:
    await context.calls_db.write(_clear)
    for act in acts:
        if isinstance(act, tuple):
            await roll_up(context, now=START + act[0] * HOUR, limit=act[1])
        else:
            await write(context, *{_key(row): row for row in act}.values())
    found = await summary(context, filters, step=step, by=by)
    await context.calls_db.write(_make_all_due)
    assert found == await summary(context, filters, step=step, by=by)
    size = service.STEPS[step]
    wide = filters._replace(since=filters.since // size * size, until=-(-filters.until // size) * size)  # type: ignore[operator]
    minutes = await context.calls_db.read(lambda tx: list(store.find_sums(tx, wide)))
    assert found.totals.calls == sum(part.sums.count for part in minutes)
    assert found.totals.response_bytes == sum(part.sums.response_bytes for part in minutes)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("minute", "upstream", "route", "method", "status", "writer"))


def _make_all_due(tx: Connection) -> None:
    """Nothing is rolled up any more: every summary is one of minutes."""
    _clear_hours(tx)
    found = {minute // HOUR * HOUR for minute in tx.execute(sa.select(call_minute.c.minute)).scalars()}
    if found:
        tx.execute(call_hour_due.insert(), [{"hour": hour} for hour in found])


def _clear_hours(tx: Connection) -> None:
    tx.execute(call_hour.delete())
    tx.execute(call_hour_due.delete())


def _clear(tx: Connection) -> None:
    _clear_hours(tx)
    tx.execute(call_minute.delete())


async def test_hours_are_read_where_they_are_rolled_up_and_minutes_where_not(context: Context) -> None:
    """Few rows are read, which no number in the answer shows."""
    await write(context, *(minute_row(minute=START + number * MINUTE) for number in range(4 * 60)))
    await roll_up(context, limit=3)

    async def count(step_is_long: bool, limit: int = 10**6) -> int:
        filters = Filters(since=START, until=START + DAY)
        return await context.calls_db.read(store.count_sums, filters, hours=step_is_long, limit=limit)

    assert await count(step_is_long=False) == 240
    assert await count(step_is_long=True) == 3 + 60
    assert await count(step_is_long=True, limit=2) == 3
    assert await count(step_is_long=True, limit=10) == 11


@pytest.mark.parametrize("step", ["minute", "hour"])
async def test_what_would_read_too_much_is_refused(context: Context, step: Step) -> None:
    await write(
        context, *(minute_row(minute=START + number * MINUTE, upstream=f"u{number % 2}") for number in range(60))
    )
    filters = Filters(since=START, until=START + HOUR)
    with pytest.raises(RangeTooLongError, match=r"59 rows.*less time, a filter or a longer step"):
        await summary(context, filters, step=step, max_rows=59)
    assert (await summary(context, filters, step=step, max_rows=60)).totals.calls == 60
    assert (await summary(context, filters._replace(upstream="u1"), step=step, max_rows=30)).totals.calls == 30
    await roll_up(context)
    assert (await summary(context, filters, step="hour", max_rows=2)).totals.calls == 60
