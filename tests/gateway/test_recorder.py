import asyncio
import bisect
import collections
import itertools
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox.core.times import MINUTE
from signalbox.gateway import call_blocks, store
from signalbox.gateway import recorder as recorder_module
from signalbox.gateway.recorder import SECONDS_BUCKETS, Recorder
from signalbox.gateway.schemas import Call, Filters
from signalbox.infra.context import Context
from signalbox.infra.telemetry import Metrics
from signalbox.infra.telemetry.sink import CAPACITY
from tests.gateway.conftest import START, made_call
from tests.support.timing import PATIENCE

Away = Callable[[], AbstractContextManager[None]]

_numbers = itertools.count()

some_calls = st.lists(
    st.builds(
        made_call,
        created_at=st.integers(0, 4 * MINUTE).map(lambda offset: START + offset),
        micros=st.one_of(st.integers(0, 300), st.integers(0, 90_000_000)),
        route=st.sampled_from(["/a", "/b", "unmatched"]),
        method=st.sampled_from(["GET", "POST"]),
        status=st.sampled_from([200, 404, 502]),
        request_bytes=st.integers(0, 2**40),
        response_bytes=st.integers(0, 2**40),
    ),
    max_size=25,
)


async def minutes(context: Context, **filters: Any) -> list[store.Part]:
    return await context.calls_db.read(lambda tx: list(store.find_sums(tx, Filters(**filters))))


async def rows(context: Context, **filters: Any) -> list[Call]:
    found = await context.calls_db.read(call_blocks.find_calls, Filters(**filters), before=None, limit=10**6)
    return [call for _, call in found]


def sums(calls: list[Call]) -> dict[tuple[int, str, int], list[int]]:
    """Calls, microseconds and bytes by minute, route and status; as a plain loop adds them up."""
    added: dict[tuple[int, str, int], list[int]] = {}
    current = 0
    for call in calls:
        ended = call.created_at + call.micros
        current = max(current, ended // MINUTE * MINUTE)
        entry = added.setdefault((current, call.route, call.status), [0, 0, 0, 0])
        for place, value in enumerate((1, call.micros, call.request_bytes, call.response_bytes)):
            entry[place] += value
    return added


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=some_calls, flushes=st.sets(st.integers(0, 25)))
async def test_sums_are_those_of_the_calls_whenever_they_are_written(
    context: Context, calls: list[Call], flushes: set[int]
) -> None:
    upstream = f"u{next(_numbers)}"
    calls = [call._replace(upstream=upstream) for call in calls]
    recorder = Recorder(context, enabled=True)
    for number, call in enumerate(calls):
        recorder.record(call)
        if number in flushes:
            await recorder.flush()
    await recorder.close()
    assert (await rows(context, upstream=upstream))[::-1] == calls
    written: dict[tuple[int, str, int], list[int]] = {}
    latencies: collections.Counter[int] = collections.Counter()
    for row in await minutes(context, upstream=upstream):
        entry = written.setdefault((row.start, row.route, row.status), [0, 0, 0, 0])
        for place, value in enumerate(
            (row.sums.count, row.sums.micros, row.sums.request_bytes, row.sums.response_bytes)
        ):
            entry[place] += value
        latencies.update(row.sums.latency.buckets)
    assert written == sums(calls)
    assert latencies.total() == len(calls)


async def test_several_writers_add_up(context: Context) -> None:
    recorders = [Recorder(context, enabled=True) for _ in range(5)]
    for number in range(500):
        recorders[number % 5].record(made_call(created_at=START + number * 1_000_000))
        if number % 50 == 49:
            await asyncio.gather(*(recorder.flush() for recorder in recorders))
    await asyncio.gather(*(recorder.close() for recorder in recorders))
    by_minute: collections.Counter[int] = collections.Counter()
    for row in await minutes(context):
        by_minute[row.start] += row.sums.count
    assert [by_minute[START + number * MINUTE] for number in range(9)] == [60] * 8 + [20]
    assert len(await rows(context)) == 500


async def test_it_writes_by_itself_and_at_the_end(context: Context) -> None:
    recorder = Recorder(context, enabled=True)
    recorder.open()
    recorder.record(made_call(path="/1"))
    async with asyncio.timeout(PATIENCE):
        while not await rows(context):
            await asyncio.sleep(0.02)
    recorder.record(made_call(path="/2"))
    await recorder.close()
    assert [call.path for call in await rows(context)] == ["/2", "/1"]
    assert sum(row.sums.count for row in await minutes(context)) == 2


async def test_while_it_is_off_nothing_is_kept(context: Context) -> None:
    recorder = Recorder(context, enabled=False)
    recorder.record(made_call())
    await recorder.close()
    assert await rows(context) == []
    assert "gateway_requests_total{" not in exposition(recorder)


# -- the database is away -------------------------------------------------------------------------------------------


async def test_calls_wait_for_the_database(context: Context, away: Away) -> None:
    recorder = Recorder(context, enabled=True)
    recorder.record(made_call(path="/before"))
    await recorder.flush()
    with away():
        for number in range(3):
            recorder.record(made_call(path=f"/{number}", created_at=START + number * MINUTE))
        await recorder.flush()
        assert "signalbox_calls_waiting 3.0" in exposition(recorder)
    recorder.record(made_call(path="/after", created_at=START + 3 * MINUTE))
    await flush_all(recorder)
    assert [call.path for call in await rows(context)] == ["/after", "/2", "/1", "/0", "/before"]
    assert sum(row.sums.count for row in await minutes(context)) == 5
    await recorder.close()


async def test_what_is_too_much_to_wait_is_counted_and_stays_in_the_sums(context: Context, away: Away) -> None:
    recorder = Recorder(context, enabled=True)
    call, recorded = made_call(), 2 * CAPACITY - 3 + 10
    with away():
        for _ in range(CAPACITY - 3):
            recorder.record(call)
        flush = asyncio.create_task(recorder.flush())
        await asyncio.sleep(0)  # the batch is on its way, and will come back
        for _ in range(CAPACITY):
            recorder.record(call)
        await flush
        for _ in range(10):
            recorder.record(call)
        text = exposition(recorder)
    kept, dropped = (
        float(re.findall(rf"^signalbox_calls_{name} (\S+)", text, re.MULTILINE)[0])
        for name in ("waiting", "dropped_total")
    )
    assert kept + dropped == recorded
    assert CAPACITY - call_blocks.SIZE < kept <= CAPACITY
    await flush_all(recorder)
    assert (
        await context.calls_db.read(lambda tx: len(call_blocks.find_calls(tx, Filters(), before=None, limit=10**6)))
        == kept
    )
    assert sum(row.sums.count for row in await minutes(context)) == recorded
    assert "signalbox_calls_waiting 0.0" in exposition(recorder)


async def test_a_long_absence_takes_bounded_memory_and_loses_no_count(context: Context, away: Away) -> None:
    recorder = Recorder(context, enabled=True)
    recorder.record(made_call())
    await recorder.flush()
    spoken = 2 * recorder_module.MAX_MINUTES
    with away():
        for number in range(spoken):
            recorder.record(made_call(created_at=START + number * MINUTE))
    assert len(recorder._unwritten) <= recorder_module.MAX_MINUTES
    await flush_all(recorder)
    assert sum(row.sums.count for row in await minutes(context)) == spoken + 1
    assert sum(row.sums.latency.count for row in await minutes(context)) == spoken + 1


async def test_what_cannot_be_written_at_the_end_is_counted(context: Context, away: Away) -> None:
    recorder = Recorder(context, enabled=True)
    recorder.record(made_call())
    with away():
        await recorder.close()
    assert "signalbox_calls_dropped_total 1.0" in exposition(recorder)


async def flush_all(recorder: Recorder) -> None:
    """Flush until the database, which has just come back, takes everything."""
    async with asyncio.timeout(PATIENCE):
        while "signalbox_calls_waiting 0.0" not in exposition(recorder):
            await recorder.flush()


# -- /metrics -------------------------------------------------------------------------------------------------------


def exposition(recorder: Recorder) -> str:
    metrics = Metrics()
    metrics.register(recorder)
    return metrics.render().decode()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=some_calls)
async def test_metrics_are_the_sums_of_all_calls(context: Context, calls: list[Call]) -> None:
    recorder = Recorder(context, enabled=True)
    for call in calls:
        recorder.record(call)
    text = exposition(recorder)
    for (route, method, status), count in collections.Counter((c.route, c.method, c.status) for c in calls).items():
        labels = f'method="{method}",route="{route}",status="{status}",upstream="shop"'
        assert f"signalbox_gateway_requests_total{{{labels}}} {count:.1f}\n" in text
    for route in {call.route for call in calls}:
        own = sorted(call.micros for call in calls if call.route == route)
        for bound in SECONDS_BUCKETS:
            name = f'signalbox_gateway_request_seconds_bucket{{le="{bound}",route="{route}",upstream="shop"}}'
            assert f"{name} {bisect.bisect_right(own, round(bound * 1e6)):.1f}\n" in text
        assert f'seconds_count{{route="{route}",upstream="shop"}} {len(own):.1f}\n' in text
    if calls:
        received = re.search(r'request_bytes_total\{upstream="shop"\} (\S+)', text)
        assert received is not None
        assert float(received[1]) == float(sum(call.request_bytes for call in calls))


async def test_counters_never_go_back(context: Context) -> None:
    recorder = Recorder(context, enabled=True)
    for number in range(5):
        recorder.record(made_call(created_at=START + number * MINUTE))
        await recorder.flush()
        assert f'status="200",upstream="shop"}} {number + 1}.0' in exposition(recorder)
