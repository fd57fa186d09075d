import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox.core.pagination import InvalidCursorError, encode_cursor
from signalbox.core.times import DAY, HOUR, MINUTE, to_datetime
from signalbox.gateway import call_blocks, service
from signalbox.gateway.errors import InvalidStatusFilterError, RangeTooLongError, UnknownCallError
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.schemas import Call, Dimension, Filters, Step, Summary
from signalbox.infra.context import Context
from tests.gateway.conftest import START, made_call

_numbers = itertools.count()

SAME_CONTEXT = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("text", "bounds"), [("404", (404, 404)), ("5xx", (500, 599)), ("2XX", (200, 299)), ("100", (100, 100))]
)
def test_statuses(text: str, bounds: tuple[int, int]) -> None:
    assert service.parse_status(text) == bounds


@pytest.mark.parametrize("text", ["", "6xx", "0xx", "99", "600", "5x", "5xxx", "abc", "-404", "4 4", "4xx,5xx"])
def test_what_is_no_status(text: str) -> None:
    with pytest.raises(InvalidStatusFilterError, match="404"):
        service.parse_status(text)


# -- the list -------------------------------------------------------------------------------------------------------


async def record(context: Context, *calls: Call) -> None:
    recorder = Recorder(context, enabled=True)
    for call in calls:
        recorder.record(call)
    await recorder.close()


async def walk(context: Context, filters: Filters, *, limit: int, arriving: Call | None) -> list[int]:
    """The ids of all calls, page by page, while others arrive."""
    seen: list[int] = []
    cursor = None
    while True:
        page = await context.calls_db.read(service.list_calls, filters, cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        seen += [call.id for call in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return seen
        if arriving is not None:
            await record(context, arriving, arriving)


@SAME_CONTEXT
@given(statuses=st.lists(st.sampled_from([200, 503]), max_size=12), limit=st.integers(1, 9), busy=st.booleans())
async def test_a_walk_returns_each_call_once_while_others_arrive(
    context: Context, statuses: list[int], limit: int, busy: bool
) -> None:
    upstream = f"u{next(_numbers)}"
    await record(context, *(made_call(upstream=upstream, status=status) for status in statuses))
    there = await context.calls_db.read(call_blocks.find_calls, Filters(upstream=upstream), before=None, limit=1000)
    arriving = made_call(upstream=upstream, status=503) if busy else None
    seen = await walk(context, Filters(upstream=upstream), limit=limit, arriving=arriving)
    assert seen == [number for number, _ in there]
    there = await context.calls_db.read(call_blocks.find_calls, Filters(upstream=upstream), before=None, limit=1000)
    seen = await walk(context, Filters(upstream=upstream, status=(500, 599)), limit=limit, arriving=arriving)
    assert seen == [number for number, call in there if call.status == 503]


async def test_the_last_page_has_no_cursor(context: Context) -> None:
    await record(context, *[made_call()] * 4)
    page = await context.calls_db.read(service.list_calls, Filters(), cursor=None, limit=4)
    assert (len(page.items), page.next_cursor) == (4, None)


async def test_a_call_as_the_list_shows_it(context: Context) -> None:
    await record(context, made_call(micros=1_234_567, upstream="", route="unmatched", status=404, app="till"))
    page = await context.calls_db.read(service.list_calls, Filters(), cursor=None, limit=4)
    (call,) = page.items
    assert call.model_dump(exclude={"id"}) == {
        "path": "/items/1",
        "status_code": 404,
        "seconds": 1.234567,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "method": "GET",
        "route": "unmatched",
        "upstream": None,
        "request_bytes": 10,
        "response_bytes": 100,
        "client": "192.0.2.1",
        "app": "till",
        "request_id": "id-1",
    }


@pytest.mark.parametrize("cursor", ["", "x", "MTIz", encode_cursor(5)[:-1] + "!"])
async def test_a_cursor_of_somewhere_else_is_refused(context: Context, cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        await context.calls_db.read(service.list_calls, Filters(), cursor=cursor, limit=4)


# -- the summary ----------------------------------------------------------------------------------------------------


async def summary(
    context: Context,
    filters: Filters | None = None,
    *,
    step: Step = "minute",
    by: Dimension = "upstream",
    now: int = START,
) -> Summary:
    return await context.calls_db.read(service.summarize, filters or Filters(), step=step, by=by, now=now)


async def test_nothing_adds_up_to_nothing(context: Context) -> None:
    told = await summary(context)
    assert told.series == []
    assert told.totals.calls == 0
    assert told.totals.success_rate is told.totals.mean_seconds is told.totals.p99_seconds is None


async def test_totals(context: Context) -> None:
    statuses = [200] * 90 + [302, 304, 399] + [400, 404, 429, 499] + [500, 502, 504]
    await record(
        context, *(made_call(status=status, micros=(number + 1) * 1000) for number, status in enumerate(statuses))
    )
    totals = (await summary(context)).totals
    assert (totals.calls, totals.succeeded, totals.success_rate) == (100, 93, 0.93)
    assert (totals.request_bytes, totals.response_bytes) == (1_000, 10_000)
    assert totals.mean_seconds == pytest.approx(0.0505)
    assert totals.p50_seconds == pytest.approx(0.050, rel=0.1)
    assert totals.p95_seconds == pytest.approx(0.095, rel=0.1)
    assert totals.p99_seconds == pytest.approx(0.099, rel=0.1)


@SAME_CONTEXT
@given(durations=st.lists(st.integers(1, 60_000_000), min_size=1, max_size=60))
async def test_percentiles_are_off_by_at_most_a_tenth(context: Context, durations: list[int]) -> None:
    upstream = f"u{next(_numbers)}"
    await record(
        context, *(made_call(upstream=upstream, micros=micros, created_at=START - micros) for micros in durations)
    )
    totals = (await summary(context, Filters(upstream=upstream), now=START + MINUTE)).totals
    ordered = sorted(durations)
    for point, told in ((0.5, totals.p50_seconds), (0.95, totals.p95_seconds), (0.99, totals.p99_seconds)):
        exact = ordered[max(0, math.ceil(point * len(ordered)) - 1)]
        assert told is not None
        assert exact * 0.9 - 1 <= told * 1e6 <= exact * 1.1 + 1


def brute_force(calls: Sequence[Call], size: int, by: Dimension) -> dict[str, dict[datetime, int]]:
    added: dict[str, dict[datetime, int]] = {}
    for call in calls:
        name = {"upstream": call.upstream, "route": call.route, "status": str(call.status)}[by]
        start = to_datetime((call.created_at + call.micros) // size * size)
        points = added.setdefault(name, {})
        points[start] = points.get(start, 0) + 1
    return added


@pytest.mark.parametrize(("step", "size"), [("minute", MINUTE), ("hour", HOUR), ("day", DAY)])
@pytest.mark.parametrize("by", ["upstream", "route", "status"])
async def test_series_are_those_of_the_calls(context: Context, step: Step, size: int, by: Dimension) -> None:
    calls = [
        made_call(
            created_at=START + number * size // 3,
            upstream=f"u{number % 2}",
            route=f"/r{number % 3}",
            status=(200, 404, 500, 503)[number % 4],
        )
        for number in range(30)
    ]
    await record(context, *calls)
    told = await summary(context, Filters(since=START), step=step, by=by, now=START + 30 * size)
    points = {series.name: {point.start: point.totals.calls for point in series.points} for series in told.series}
    assert points == brute_force(calls, size, by)
    assert [series.name for series in told.series] == sorted(points)
    for series in told.series:
        assert [point.start for point in series.points] == sorted(point.start for point in series.points)
    assert told.totals.calls == 30


async def test_filters_narrow_the_sums(context: Context) -> None:
    calls = [
        made_call(status=200),
        made_call(status=500, upstream="b"),
        made_call(status=503, method="POST", route="/r"),
    ]
    await record(context, *calls)
    for filters, expected in (
        (Filters(status=(500, 599)), 2),
        (Filters(upstream="b"), 1),
        (Filters(method="POST"), 1),
        (Filters(route="/r"), 1),
        (Filters(upstream="none"), 0),
    ):
        assert (await summary(context, filters)).totals.calls == expected


async def test_a_range_is_widened_to_whole_steps(context: Context) -> None:
    told = await summary(context, Filters(since=START + 1, until=START + HOUR + 1), step="hour")
    assert (told.since, told.until) == (to_datetime(START), to_datetime(START + 2 * HOUR))


async def test_the_range_begins_where_it_says_and_ends_before_its_end(context: Context) -> None:
    await record(context, *(made_call(created_at=START + number * MINUTE) for number in range(5)))
    told = await summary(context, Filters(since=START + MINUTE, until=START + 3 * MINUTE))
    assert told.totals.calls == 2


async def test_without_a_range_the_last_sixty_steps(context: Context) -> None:
    told = await summary(context, now=START + 30_000_000)
    assert told.until == to_datetime(START + MINUTE)
    assert told.until - told.since == timedelta(hours=1)
    told = await summary(context, step="day", now=START)
    assert told.until - told.since == timedelta(days=60)


@pytest.mark.parametrize(
    "filters",
    [
        Filters(since=START, until=START),
        Filters(since=START, until=START - MINUTE),
        Filters(since=START - (service.MAX_POINTS + 1) * MINUTE, until=START),
        Filters(since=START + DAY),
        Filters(since=-(10**17), until=START),
        Filters(until=0),
        Filters(since=-MINUTE, until=MINUTE),
        Filters(since=253_402_300_000_000_000, until=253_402_300_100_000_000),
    ],
)
async def test_a_range_without_steps_or_with_too_many_is_refused(context: Context, filters: Filters) -> None:
    with pytest.raises(RangeTooLongError):
        await summary(context, filters)


async def test_the_longest_range(context: Context) -> None:
    await summary(context, Filters(since=START - service.MAX_POINTS * MINUTE, until=START))


async def test_one_call_as_the_list_shows_it(context: Context) -> None:
    await record(context, made_call(path="/a"), made_call(path="/b"))
    page = await context.calls_db.read(service.list_calls, Filters(), cursor=None, limit=2)
    for call in page.items:
        assert await context.calls_db.read(service.get_call, number=call.id) == call


@pytest.mark.parametrize("number", [0, 7, 2**63 - 1, 2**80])
async def test_a_call_that_is_not_kept(context: Context, number: int) -> None:
    with pytest.raises(UnknownCallError, match="old calls are deleted"):
        await context.calls_db.read(service.get_call, number=number)
