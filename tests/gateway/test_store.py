import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from signalbox.core.times import MINUTE
from signalbox.gateway import store
from signalbox.gateway.schemas import Call, Filters
from signalbox.infra.context import Context
from signalbox.infra.telemetry import Histogram
from tests.gateway.conftest import START, made_call


async def write(context: Context, *calls: Call, minutes: list[dict[str, Any]] | None = None) -> None:
    await context.calls_db.write(store.write_batch, calls, minutes or [])


async def paths(context: Context, limit: int = 500, before: int | None = None, **filters: Any) -> list[str]:
    rows = await context.calls_db.read(store.find_calls, Filters(**filters), before=before, limit=limit)
    return [call.path for _, call in rows]


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


async def test_what_was_written_is_found_whole(context: Context) -> None:
    call = made_call(path="/%C3%A9?", app="shop", micros=2**40, response_bytes=2**50, client="2001:db8::1")
    await write(context, call)
    ((_, found),) = await context.calls_db.read(store.find_calls, Filters(), before=None, limit=5)
    assert found == call


async def test_newest_first_and_at_most_limit(context: Context) -> None:
    for number in range(5):
        await write(context, made_call(path=f"/{number}a"), made_call(path=f"/{number}b"))
    assert await paths(context, limit=3) == ["/4b", "/4a", "/3b"]
    rows = await context.calls_db.read(store.find_calls, Filters(), before=None, limit=3)
    assert await paths(context, limit=2, before=rows[-1][0]) == ["/3a", "/2b"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"upstream": "shop"}, {"a", "b", "c"}),
        ({"upstream": ""}, {"d"}),
        ({"route": "unmatched"}, {"b", "d"}),
        ({"method": "POST"}, {"b"}),
        ({"status": (500, 599)}, {"b", "c"}),
        ({"status": (404, 404)}, {"d"}),
        ({"status": (200, 299)}, {"a"}),
        ({"path_prefix": "/a%"}, {"a"}),
        ({"path_prefix": "/_"}, set()),
        ({"path_prefix": "/b"}, {"b"}),
        ({"path_prefix": "/B"}, set()),
        ({"since": START + 2}, {"c", "d"}),
        ({"until": START + 2}, {"a", "b"}),
        ({"since": START + 1, "until": START + 3}, {"b", "c"}),
        ({"upstream": "shop", "status": (500, 599), "method": "GET"}, {"c"}),
    ],
)
async def test_every_filter(context: Context, filters: dict[str, Any], expected: set[str]) -> None:
    await write(
        context,
        made_call(path="/a%25/1", request_id="a"),
        made_call(path="/b/1", request_id="b", route="unmatched", method="POST", status=500, created_at=START + 1),
        made_call(path="/c/1", request_id="c", status=599, created_at=START + 2),
        made_call(path="/d/1", request_id="d", route="unmatched", upstream="", status=404, created_at=START + 3),
    )
    rows = await context.calls_db.read(store.find_calls, Filters(**filters), before=None, limit=10)
    assert {call.request_id for _, call in rows} == expected


async def test_large_batches(context: Context) -> None:
    await write(context, *(made_call(path=f"/{number}") for number in range(5_000)))
    assert len(await paths(context, limit=10_000)) == 5_000
    assert await paths(context, limit=1) == ["/4999"]


# -- sums -----------------------------------------------------------------------------------------------------------


async def minutes(context: Context, **filters: Any) -> list[store.Part]:
    return await context.calls_db.read(lambda tx: list(store.find_sums(tx, Filters(**filters))))


async def test_writing_a_minute_again_replaces_it(context: Context) -> None:
    await write(context, minutes=[minute_row()])
    await write(context, minutes=[minute_row(count=3, micros=9), minute_row(method="POST")])
    assert sorted((row.sums.count, row.sums.micros) for row in await minutes(context)) == [(1, 5_000), (3, 9)]


async def test_several_writers_stand_side_by_side(context: Context) -> None:
    await asyncio.gather(*(write(context, minutes=[minute_row(writer=number)]) for number in range(20)))
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
        minutes=[
            minute_row(upstream="other"),
            minute_row(route="unmatched"),
            minute_row(method="PUT", minute=START + MINUTE),
            minute_row(status=404, minute=START + 2 * MINUTE),
        ],
    )
    assert len(await minutes(context, **filters)) == expected


# -- retention ------------------------------------------------------------------------------------------------------


async def sweep(context: Context, *, older_than: int = 0, keep: int = 10**6, limit: int = 1_000) -> int:
    return await context.calls_db.write(store.delete_calls, older_than=older_than, keep=keep, limit=limit)


async def test_nothing_is_deleted_where_there_is_nothing(context: Context) -> None:
    assert await sweep(context, older_than=START, keep=0) == 0


async def test_the_newest_are_kept_in_number(context: Context) -> None:
    await write(context, *(made_call(path=f"/{number}") for number in range(100)))
    deleted = []
    while count := await sweep(context, keep=30, limit=25):
        deleted.append(count)
    assert deleted == [25, 25, 20]
    assert await paths(context) == [f"/{number}" for number in range(99, 69, -1)]


async def test_the_old_are_deleted(context: Context) -> None:
    await write(context, *(made_call(path=f"/{number}", created_at=START + number) for number in range(100)))
    deleted = []
    while count := await sweep(context, older_than=START + 60, limit=25):
        deleted.append(count)
    assert deleted == [25, 25, 10]
    assert await paths(context) == [f"/{number}" for number in range(99, 59, -1)]


async def test_sums_outlive_calls(context: Context) -> None:
    await write(context, made_call(), minutes=[minute_row()])
    assert await sweep(context, older_than=START + 1) == 1
    assert await paths(context) == []
    assert len(await minutes(context)) == 1


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=st.lists(st.integers(0, 20), max_size=30), keep=st.integers(0, 30), limit=st.integers(1, 10))
async def test_what_stays_is_young_and_few(context: Context, ages: list[int], keep: int, limit: int) -> None:
    await context.calls_db.write(_clear)
    await write(context, *(made_call(path=f"/{number}", created_at=age) for number, age in enumerate(ages)))
    while deleted := await sweep(context, older_than=10, keep=keep, limit=limit):
        assert deleted <= limit
    recent = list(enumerate(ages))[-keep:] if keep else []
    assert await paths(context) == [f"/{number}" for number, age in reversed(recent) if age >= 10]


async def test_deleting_uses_indexes(context: Context) -> None:
    """Retention runs beside traffic: it must not read the whole table to find the oldest."""

    def plan(tx: Connection) -> str:
        explain = "EXPLAIN QUERY PLAN" if tx.dialect.name == "sqlite" else "EXPLAIN"
        if tx.dialect.name == "postgresql":
            tx.execute(text("SET LOCAL enable_seqscan = off"))  # the table is too small for the planner to bother
        query = "SELECT id FROM call WHERE created_at < 5 ORDER BY created_at LIMIT 10"
        return str(tx.execute(text(f"{explain} {query}")).all())

    assert "ix_call_created_at" in await context.calls_db.read(plan)


def _clear(tx: Connection) -> None:
    tx.execute(text("DELETE FROM call"))
