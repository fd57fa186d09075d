from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, text

from signalbox.gateway import call_blocks
from signalbox.gateway.models import call_block
from signalbox.gateway.schemas import Call, Filters
from signalbox.infra.context import Context
from tests.gateway.conftest import START, made_call


async def write(context: Context, *calls: Call) -> None:
    await context.calls_db.write(call_blocks.insert_blocks, call_blocks.pack(calls))


async def find(
    context: Context, *, limit: int = 500, before: int | None = None, **filters: Any
) -> list[tuple[int, Call]]:
    return await context.calls_db.read(call_blocks.find_calls, Filters(**filters), before=before, limit=limit)


async def paths(context: Context, *, limit: int = 500, before: int | None = None, **filters: Any) -> list[str]:
    return [call.path for _, call in await find(context, limit=limit, before=before, **filters)]


async def test_what_was_written_is_found_whole(context: Context) -> None:
    call = made_call(path="/%C3%A9?", app="shop", micros=2**40, response_bytes=2**50, client="2001:db8::1")
    await write(context, call)
    ((_, found),) = await find(context)
    assert found == call


async def test_newest_first_and_at_most_limit(context: Context) -> None:
    for number in range(5):
        await write(context, made_call(path=f"/{number}a"), made_call(path=f"/{number}b"))
    assert await paths(context, limit=3) == ["/4b", "/4a", "/3b"]
    rows = await find(context, limit=3)
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
    rows = await find(context, **filters)
    assert {call.request_id for _, call in rows} == expected


async def test_large_batches_are_several_blocks(context: Context) -> None:
    await write(context, *(made_call(path=f"/{number}") for number in range(5_000)))
    found = await find(context, limit=10_000)
    assert [call.path for _, call in found] == [f"/{number}" for number in range(4_999, -1, -1)]
    assert len({number for number, _ in found}) == 5_000
    assert await paths(context, limit=1) == ["/4999"]
    assert await blocks(context) == -(-5_000 // call_blocks.SIZE)


async def test_a_list_goes_on_where_it_stopped_within_a_block(context: Context) -> None:
    await write(context, *(made_call(path=f"/{number}") for number in range(1_200)))
    seen: list[str] = []
    before = None
    while page := await find(context, before=before, limit=7):
        seen += [call.path for _, call in page]
        before = page[-1][0]
    assert seen == [f"/{number}" for number in range(1_199, -1, -1)]


async def test_what_few_calls_match_is_found_in_old_blocks(context: Context) -> None:
    await write(context, made_call(path="/rare/1"))
    for _ in range(100):
        await write(context, made_call())
    assert await paths(context, path_prefix="/rare") == ["/rare/1"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(
            st.builds(
                made_call,
                path=st.text(st.characters(codec="ascii", min_codepoint=33), max_size=5).map("/".__add__),
                route=st.sampled_from(["/a/{id}", "unmatched", "GET"]),
                upstream=st.sampled_from(["", "shop", "shö€"]),
                method=st.sampled_from(["GET", "POST"]),
                status=st.sampled_from([200, 404, 500]),
                created_at=st.integers(START, START + 5),
            ),
            min_size=1,
            max_size=8,
        ),
        max_size=6,
    ),
    filters=st.fixed_dictionaries(
        {},
        optional={
            "upstream": st.sampled_from(["", "shop", "shö€", "none", "\0"]),
            "route": st.sampled_from(["/a/{id}", "GET"]),
            "method": st.sampled_from(["GET", "PUT"]),
            "status": st.sampled_from([(200, 299), (404, 404), (400, 599)]),
            "since": st.integers(START, START + 5),
            "until": st.integers(START, START + 6),
            "path_prefix": st.sampled_from(["/", "/a", "/GET", "\0"]),
        },
    ),
    limit=st.integers(1, 10),
)
async def test_a_search_finds_what_looking_at_each_call_finds(
    context: Context, batches: Sequence[Sequence[Call]], filters: dict[str, Any], limit: int
) -> None:
    await context.calls_db.write(_clear)
    for batch in batches:
        await write(context, *batch)
    everything = [call for batch in batches for call in batch][::-1]
    expected = [call for call in everything if _fits(call, filters)][:limit]
    assert [call for _, call in await find(context, limit=limit, **filters)] == expected


def _fits(call: Call, filters: dict[str, Any]) -> bool:
    first, last = filters.get("status", (0, 999))
    return (
        all(getattr(call, name) == filters[name] for name in ("upstream", "route", "method") if name in filters)
        and first <= call.status <= last
        and filters.get("since", 0) <= call.created_at < filters.get("until", 2**62)
        and call.path.startswith(filters.get("path_prefix", ""))
    )


# -- retention ------------------------------------------------------------------------------------------------------


async def sweep(context: Context, *, older_than: int = 0, keep: int = 10**6, limit: int = 1_000) -> int:
    return await context.calls_db.write(call_blocks.delete_calls, older_than=older_than, keep=keep, limit=limit)


async def write_blocks(context: Context, number: int, *, size: int) -> None:
    """Blocks of ``size`` calls each; calls are named and timed by their number."""
    for first in range(0, number * size, size):
        await write(
            context, *(made_call(path=f"/{each}", created_at=START + each) for each in range(first, first + size))
        )


async def test_nothing_is_deleted_where_there_is_nothing(context: Context) -> None:
    assert await sweep(context, older_than=START, keep=0) == 0


async def test_the_newest_are_kept_in_number(context: Context) -> None:
    await write_blocks(context, 20, size=5)
    deleted = []
    while count := await sweep(context, keep=28, limit=22):
        deleted.append(count)
    assert deleted == [25, 25, 20]
    assert await paths(context) == [f"/{number}" for number in range(99, 69, -1)]


async def test_the_old_are_deleted(context: Context) -> None:
    await write_blocks(context, 20, size=5)
    deleted = []
    while count := await sweep(context, older_than=START + 62, limit=25):
        deleted.append(count)
    assert deleted == [25, 25, 10]
    assert await paths(context) == [f"/{number}" for number in range(99, 59, -1)]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ages=st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=4), max_size=12),
    keep=st.integers(0, 30),
    limit=st.integers(1, 10),
)
async def test_what_stays_is_young_and_few(context: Context, ages: list[list[int]], keep: int, limit: int) -> None:
    await context.calls_db.write(_clear)
    for block in ages:
        await write(context, *(made_call(created_at=age) for age in block))
    while deleted := await sweep(context, older_than=10, keep=keep, limit=limit):
        assert deleted < limit + 4
    left = sum(map(len, ages))
    expected = []
    for block in ages:  # the oldest first, whole blocks, never below ``keep``
        if left - len(block) >= keep:
            left -= len(block)
        else:
            expected.append(block)
            left = 0
    stay = [age for block in reversed(expected) if max(block) >= 10 for age in reversed(block)]
    assert [call.created_at for _, call in await find(context)] == stay


async def test_ids_are_never_given_twice(context: Context) -> None:
    await write(context, made_call())
    ((first, _),) = await find(context)
    await sweep(context, keep=0)
    await write(context, made_call())
    ((second, _),) = await find(context)
    assert second > first


async def test_deleting_uses_indexes(context: Context) -> None:
    """Retention runs beside traffic: it must not read the whole table to find the oldest."""

    def plan(tx: Connection) -> str:
        explain = "EXPLAIN QUERY PLAN" if tx.dialect.name == "sqlite" else "EXPLAIN"
        if tx.dialect.name == "postgresql":
            tx.execute(text("SET LOCAL enable_seqscan = off"))  # the table is too small for the planner to bother
        query = "SELECT id FROM call_block WHERE last_at < 5 ORDER BY last_at LIMIT 10"
        return str(tx.execute(text(f"{explain} {query}")).all())

    assert "ix_call_block_last_at_calls" in await context.calls_db.read(plan)


async def blocks(context: Context) -> int:
    return await context.calls_db.read(lambda tx: tx.execute(select(func.count()).select_from(call_block)).scalar_one())


def _clear(tx: Connection) -> None:
    tx.execute(text("DELETE FROM call_block"))


async def test_one_call_by_its_id(context: Context) -> None:
    await write(context, made_call(path="/a"), made_call(path="/b"))
    (number, _), _ = await find(context)
    found = await context.calls_db.read(call_blocks.find_call, number)
    assert found is not None
    assert found.path == "/b"
    assert await context.calls_db.read(call_blocks.find_call, number + 1) is None
    assert await context.calls_db.read(call_blocks.find_call, 1) is None
