import pytest

from signalbox.core.times import HOUR, MINUTE, to_datetime
from signalbox.gateway.errors import RangeTooLongError
from signalbox.gateway.heatmap import BOUNDS
from signalbox.gateway.period import Period, describe_period
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.schemas import Filters, Step
from signalbox.infra.context import Context
from tests.gateway.conftest import START, made_call


async def described(
    context: Context,
    *,
    step: Step = "minute",
    width: int = 1,
    columns: int = 4,
    now: int = START,
    upstream: str | None = None,
) -> Period:
    return await context.calls_db.read(
        describe_period, Filters(upstream=upstream), step=step, width=width, columns=columns, now=now
    )


async def record(context: Context, *calls: tuple[int, int, str]) -> None:
    """Calls that began at a moment after START, with a status, to an upstream; 5 ms long."""
    recorder = Recorder(context, enabled=True)
    for at, status, upstream in calls:
        recorder.record(made_call(created_at=START + at, status=status, upstream=upstream, micros=5_000))
    await recorder.close()


async def test_columns_follow_each_other_and_count_classes_of_status(context: Context) -> None:
    await record(context, (0, 200, "a"), (1, 101, "a"), (2, 302, "a"), (2 * MINUTE, 404, "b"), (2 * MINUTE, 503, "b"))
    found = await described(context, now=START + 2 * MINUTE + 5)
    assert (found.since, found.until) == (to_datetime(START - MINUTE), to_datetime(START + 3 * MINUTE))
    assert found.seconds == 60
    assert [column.start for column in found.columns] == [
        to_datetime(START + minutes * MINUTE) for minutes in (-1, 0, 1, 2)
    ]
    assert [list(column.classes) for column in found.columns] == [[0] * 4, [2, 1, 0, 0], [0] * 4, [0, 0, 1, 1]]
    assert [column.calls for column in found.columns] == [0, 3, 0, 2]


async def test_latencies_are_those_of_the_heat_map(context: Context) -> None:
    await record(context, (0, 200, "a"), (0, 200, "b"))
    (column,) = (await described(context, columns=1)).columns
    assert column.latencies[BOUNDS.index(0.005)] == sum(column.latencies) == 2


async def test_totals_of_each_upstream_and_of_all(context: Context) -> None:
    await record(context, (0, 200, "a"), (0, 500, "b"), (0, 200, "b"), (0, 404, ""))
    found = await described(context)
    assert [(name, totals.calls, totals.succeeded) for name, totals in found.upstreams] == [
        ("", 1, 0),
        ("a", 1, 1),
        ("b", 2, 1),
    ]
    assert (found.totals.calls, found.totals.success_rate) == (4, 0.5)
    assert found.totals.p95_seconds == pytest.approx(0.005, rel=0.1)


async def test_columns_begin_at_multiples_of_their_length(context: Context) -> None:
    await record(context, (0, 200, "a"), (HOUR, 200, "a"), (2 * HOUR, 200, "a"))
    found = await described(context, step="hour", width=3, columns=2, now=START + 2 * HOUR)
    assert found.since == to_datetime(START - 3 * HOUR)
    assert [column.calls for column in found.columns] == [0, 3]


async def test_of_one_upstream(context: Context) -> None:
    await record(context, (0, 200, "a"), (0, 200, "b"))
    assert (await described(context, upstream="b")).totals.calls == 1


async def test_nothing_adds_up_to_nothing(context: Context) -> None:
    found = await described(context)
    assert (found.totals.calls, found.upstreams, found.totals.p95_seconds) == (0, [], None)
    assert not any(column.calls for column in found.columns)


async def test_a_period_that_is_too_long_is_refused(context: Context) -> None:
    with pytest.raises(RangeTooLongError):
        await described(context, columns=2_000)
