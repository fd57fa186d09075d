"""Calls on a kept connection, which need no task, and what gives them one after all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from signalbox.gateway import proxy
from tests.gateway.conftest import World, recorded
from tests.gateway.test_admission import UNKNOWN
from tests.gateway.test_proxy import problem
from tests.support.hub import Client, RunningHub, request
from tests.support.timing import PATIENCE, until


def serving_tasks() -> list[str]:
    """The tasks that serve requests now."""
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return [name for name in names if name == "Cycle._run"]


@asynccontextmanager
async def warm(hub: RunningHub) -> AsyncIterator[Client]:
    """A client of a hub that keeps a connection to its upstream."""
    async with hub.client() as client:
        await client.send(request(b"/fine"))
        assert (await client.answer()).status == 200
        yield client


async def test_a_call_that_waits_on_a_kept_connection_has_no_task_until_it_is_slow(world: World) -> None:
    hub = await world.hub()
    async with warm(hub) as client:
        await client.send(request(b"/never"))
        await until(lambda: len(world.raw.calls) == 2)
        assert serving_tasks() == []
        await until(serving_tasks)
        client.abort()
        await asyncio.wait_for(world.seen.closed.wait(), PATIENCE)
    assert [call.status_code for call in await recorded(hub, 2)] == [200, 499]


async def test_a_client_that_leaves_at_once_is_noticed(world: World) -> None:
    hub = await world.hub()
    async with warm(hub) as client:
        await client.send(request(b"/never"))
        await until(lambda: len(world.raw.calls) == 2)
        client.abort()
        await asyncio.wait_for(world.seen.closed.wait(), PATIENCE)
    assert [call.status_code for call in await recorded(hub, 2)] == [200, 499]
    assert serving_tasks() == []


async def test_calls_are_answered_recorded_and_counted_as_by_a_task(world: World) -> None:
    hub = await world.hub({"name": "raw", "routes": ["/fine"]})
    async with warm(hub) as client:
        for method in (b"GET", b"DELETE", b"HEAD"):
            await client.send(request(b"/fine?a=1", method=method))
            answer = await client.answer(method=method)
            assert (answer.status, answer.whole) == (200, True)
            assert answer.body == (b"" if method == b"HEAD" else b"fine\n")
            assert answer.value(b"via") == b"1.1 signalbox"
            assert world.seen.target == "/fine?a=1"
    first, *others = await recorded(hub, 4)
    assert {(call.path, call.route, call.upstream, call.status_code, call.client) for call in (first, *others)} == {
        ("/fine", "/fine", "raw", 200, "127.0.0.1")
    }
    assert [call.response_bytes for call in (first, *others)] == [5, 5, 5, 0]
    assert world.raw.connections == 1


async def test_requests_sent_at_once_are_answered_in_order(world: World) -> None:
    hub = await world.hub()
    async with warm(hub) as client:
        await client.send(request(b"/fine") + request(b"/hints") + request(b"/early"))
        assert [(await client.answer()).status for _ in range(3)] == [200, 200, 403]


@pytest.mark.parametrize("what", ["close", "garbage", "bad-length", "half-head"])
async def test_no_valid_answer_is_502(world: World, what: str) -> None:
    hub = await world.hub()
    async with warm(hub) as client:
        await client.send(request(f"/{what}".encode()))
        assert problem(await client.answer()) == (502, "upstream_failed")
    assert [call.status_code for call in await recorded(hub, 2)] == [200, 502]


async def test_an_answer_in_pieces_is_streamed(world: World) -> None:
    hub = await world.hub()
    async with warm(hub) as client:
        await client.send(request(b"/stall"))
        await until(lambda: len(world.raw.calls) == 2)
        assert b"200" in await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        client.abort()
        await asyncio.wait_for(world.seen.closed.wait(), PATIENCE)


async def test_an_answer_that_breaks_off_never_ends_cleanly(world: World) -> None:
    hub = await world.hub()
    async with warm(hub) as client:
        await client.send(request(b"/cut"))
        assert not (await client.answer()).whole
    assert [call.status_code for call in await recorded(hub, 2)] == [200, 502]


async def test_failures_open_the_breaker(world: World) -> None:
    hub = await world.hub({"name": "raw", "retry": {"retries": 0}, "breaker": {"minimum_calls": 3}})
    for _ in range(2):
        async with warm(hub) as client:
            await client.send(request(b"/garbage"))
            assert problem(await client.answer()) == (502, "upstream_failed")
    async with hub.client() as client:
        await client.send(request(b"/fine"))
        assert problem(await client.answer()) == (503, "upstream_circuit_open")


async def test_a_limit_refuses_and_the_refusal_is_recorded(world: World) -> None:
    hub = await world.hub({"name": "raw", "limits": [{"by": "ip", "rate": "2/1h"}]})
    async with warm(hub) as client:
        await client.send(request(b"/fine"))
        assert (await client.answer()).value(b"ratelimit") is not None
        await client.send(request(b"/fine"))
        assert problem(await client.answer()) == (429, "rate_limited")
    assert [call.status_code for call in await recorded(hub, 3)] == [200, 200, 429]
    assert len(world.raw.calls) == 2


async def test_tokens_are_checked_whether_remembered_or_not(world: World) -> None:
    hub = await world.hub({"name": "raw", "access": "token"})
    token = [(b"Token", (await hub.token("gateway")).text.encode())]
    async with hub.client() as client:
        for headers, status in ((token, 200), (token, 200), ([(b"Token", UNKNOWN)], 401), ([], 401)):
            await client.send(request(b"/fine", headers=headers))
            assert (await client.answer()).status == status
    assert [call.app for call in await recorded(hub, 4)] == ["shop", "shop", None, None]


async def test_a_root_path_is_taken_off_once(world: World) -> None:
    hub = await world.hub(root_path="/b")
    async with hub.client() as client:
        for _ in range(2):
            await client.send(request(b"/b/b/fine"))
            await client.answer()
            assert world.seen.target == "/b/fine"
            await client.send(request(b"/b/b/fine", headers=[(b"Content-Length", b"0")]))
            await client.answer()
            assert world.seen.target == "/b/fine"


@pytest.mark.parametrize("what", ["stale", "reuse"])
async def test_a_kept_connection_that_the_upstream_has_closed_is_replaced(world: World, what: str) -> None:
    hub = await world.hub({"name": "raw", "retry": {"retries": 0}})
    async with hub.client() as client:
        for _ in range(3):
            await client.send(request(f"/{what}".encode()))
            assert (await client.answer()).status == 200
    assert [call.status_code for call in await recorded(hub, 3)] == [200] * 3
    assert hub.hub.gateway is not None
    assert hub.hub.gateway.parts["raw"].dispatcher.targets.in_flight == 0


async def test_a_fault_of_ours_is_answered_and_ends_no_connection(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        msg = "no answer"
        raise RuntimeError(msg)

    hub = await world.hub()
    async with warm(hub) as client:
        with monkeypatch.context() as patch:
            patch.setattr(proxy, "_answer_headers", fail)
            await client.send(request(b"/fine"))
            assert (await client.answer()).status == 500
    assert "a request failed" in caplog.messages
    async with warm(hub) as client:
        await client.send(request(b"/fine"))
        assert (await client.answer()).status == 200
