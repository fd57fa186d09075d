import asyncio
from typing import Any

import pytest

from signalbox.core.times import MINUTE
from signalbox.gateway import store
from signalbox.gateway.call_blocks import pack
from signalbox.gateway.schemas import Filters
from signalbox.infra.context import Context
from signalbox.infra.telemetry import Histogram
from tests.gateway.conftest import START, made_call


async def write(context: Context, minutes: list[dict[str, Any]]) -> None:
    await context.calls_db.write(store.write_batch, pack([made_call()]), minutes)


def minute_row(**fields: Any) -> dict[str, Any]:
    latency = Histogram()
    latency.add(5_000)
    return {
        "minute": START,
        "upstream": "shop",
        "route": "/items/{id}",
        "method": "GET",
        "status": 200,
        "writer": 1,
        "count": 1,
        "micros": 5_000,
        "request_bytes": 10,
        "response_bytes": 100,
        "latency": latency.to_bytes(),
        **fields,
    }


async def minutes(context: Context, **filters: Any) -> list[store.Part]:
    return await context.calls_db.read(lambda tx: list(store.find_sums(tx, Filters(**filters))))


async def test_writing_a_minute_again_replaces_it(context: Context) -> None:
    await write(context, [minute_row()])
    await write(context, [minute_row(count=3, micros=9), minute_row(method="POST")])
    assert sorted((row.sums.count, row.sums.micros) for row in await minutes(context)) == [(1, 5_000), (3, 9)]


async def test_several_writers_stand_side_by_side(context: Context) -> None:
    await asyncio.gather(*(write(context, [minute_row(writer=number)]) for number in range(20)))
    rows = await minutes(context)
    assert sum(row.sums.count for row in rows) == 20
    assert rows[0].sums.latency.count == 1


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, 4),
        ({"upstream": "other"}, 1),
        ({"route": "unmatched"}, 1),
        ({"method": "PUT"}, 1),
        ({"status": (400, 499)}, 1),
        ({"since": START + MINUTE}, 2),
        ({"until": START + MINUTE}, 2),
        ({"since": START + 1, "until": START + 2 * MINUTE}, 1),
        ({"path_prefix": "/nothing"}, 4),
    ],
)
async def test_filters_of_minutes(context: Context, filters: dict[str, Any], expected: int) -> None:
    await write(
        context,
        [
            minute_row(upstream="other"),
            minute_row(route="unmatched"),
            minute_row(method="PUT", minute=START + MINUTE),
            minute_row(status=404, minute=START + 2 * MINUTE),
        ],
    )
    assert len(await minutes(context, **filters)) == expected
