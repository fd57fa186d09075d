"""Asks through the real server."""

import asyncio
import json
from typing import Any

import sqlalchemy as sa

from signalbox.criticality import store
from signalbox.criticality.models import delivery
from tests.criticality.conftest import PATH, App, World
from tests.support.hub import Client, RunningHub, request
from tests.support.timing import PATIENCE

A, B, C = "2026-01-31T10:00:00Z", "2026-01-31T11:00:00Z", "2026-01-31T12:00:00+01:00"


async def read_event(client: Client) -> dict[str, str]:
    """The next event of a stream, without comments."""
    async with asyncio.timeout(PATIENCE):
        while True:
            lines = (await client.reader.readuntil(b"\n\n")).decode().splitlines()
            fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(":"))
            if "data" in fields:
                return fields


async def open_stream(hub: RunningHub, app: App, query: str = "", **headers: str) -> Client:
    client = await Client.connect(hub.port)
    fields = [(b"Token", app.token.encode()), *((n.replace("_", "-").encode(), v.encode()) for n, v in headers.items())]
    await client.send(request(f"{PATH}/stream{query}".encode(), headers=fields, version=b"HTTP/1.0"))
    status, _, _ = await client.head()
    assert status == 200
    return client


async def test_an_app_is_told_of_a_change_once(world: World) -> None:
    hub = await world.hub()
    producer, consumer = await world.app(hub, "p"), await world.app(hub, "c")
    assert await consumer.get(hub) == {}
    kept = await producer.report(hub, 5, A, reason="smoke")
    assert await consumer.get(hub) == kept["current"]
    assert await consumer.get(hub) == {}
    assert await producer.get(hub, "/") == kept["current"], "a producer is an app like any other"


async def test_what_is_at_hand_is_answered_as_anything_else(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    await app.report(hub, 2, A)
    told = await app.call(hub)
    for _ in range(3):
        again = await app.call(hub, X_Request_ID="mine")
        assert (again.status, again.body) == (200, b"{}")
        assert again.value(b"x-request-id") == b"mine"
        names = [name for name, _ in told.headers if name not in {b"etag", b"content-length"}]
        assert [name for name, _ in again.headers if name != b"content-length"] == names
    assert (await app.call(hub, If_None_Match=(told.value(b"etag") or b"").decode())).status == 304
    assert (await app.call(hub, "/NO")).status == 400
    assert (await app.call(hub, "?sinc=1")).status == 422
    stranger = App("sbx_" + "x" * 40)
    assert (await stranger.call(hub)).status == 401
    await app.report(hub, 3, B)
    assert (await app.get(hub))["level"] == 3


async def test_between_asks_only_the_latest_counts(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    for level, at in ((1, "10"), (5, "11"), (1, "12")):
        await app.report(hub, level, f"2026-01-31T{at}:00:00Z")
    assert (await app.get(hub))["revision"] == 3
    assert await app.get(hub) == {}


async def test_of_many_asks_at_once_one_is_told(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    for number in range(1, 4):
        await app.report(hub, number, f"2026-01-31T10:00:0{number}Z")
        answers = await asyncio.gather(*(app.get(hub) for _ in range(30)))
        assert [each["revision"] for each in answers if each] == [number]


async def test_signals_are_told_apart(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    await app.report(hub, 2, A, signal="line-3")
    assert await app.get(hub) == {}
    assert (await app.get(hub, "/line-3"))["level"] == 2
    assert await app.get(hub, "/line-3") == {}
    refused = await app.call(hub, "/Line")
    assert (refused.status, json.loads(refused.body)["code"]) == (400, "invalid_signal")


async def test_who_says_since_when_is_told_again(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    assert await app.get(hub, "?since=0") == {}
    await app.report(hub, 2, A)
    assert (await app.get(hub))["revision"] == 1
    assert [(await app.get(hub, "?since=0")).get("revision") for _ in range(2)] == [1, 1]
    assert await app.get(hub, "?since=1") == {}
    for path in ("?since=7", "?since=9223372036854775807&wait=5"):
        assert (await app.get(hub, path))["revision"] == 1, "it comes from another database"
    assert (await app.call(hub, If_None_Match='"7"')).value(b"etag") == b'"1"'
    assert await app.get(hub) == {}
    await app.report(hub, 3, B)
    assert (await app.get(hub, "?since=1"))["revision"] == 2
    assert await app.get(hub) == {}, "it has been told"
    for wrong in ("since=-1", "since=x", "wait=-1", "wait=nan", "wait=inf", "since=1&since=2", "sinse=1"):
        assert (await app.call(hub, f"?{wrong}")).status == 422, wrong


async def test_an_etag_is_answered_with_304_while_it_is_current(world: World) -> None:
    hub = await world.hub()
    app, other = await world.app(hub, "a"), await world.app(hub, "b")
    assert (await app.call(hub, If_None_Match="*")).body == b"{}"
    await app.report(hub, 2, A)
    told = await app.call(hub)
    assert (told.value(b"etag"), told.value(b"cache-control")) == (b'"1"', b"no-store")
    empty = await app.call(hub)
    assert (empty.body, empty.value(b"etag")) == (b"{}", None), "who has lost the answer must not learn its tag"
    for tag in ('"1"', 'W/"1"', '"x", "1"', "*"):
        same = await other.call(hub, If_None_Match=tag)
        assert (same.status, same.body, same.value(b"etag")) == (304, b"", b'"1"'), tag
    await app.report(hub, 3, B)
    for tag in ('"1"', '"1"', '"x"'):
        again = await app.call(hub, If_None_Match=tag)
        assert (again.status, again.value(b"etag")) == (200, b'"2"')


async def test_to_look_with_head_takes_nothing(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    await app.report(hub, 2, A)
    assert (await app.call(hub, method="HEAD")).status == 200
    assert (await app.get(hub))["level"] == 2


async def test_a_long_poll_hears_at_once_or_nothing_in_time(world: World) -> None:
    hub = await world.hub()
    app, other = await world.app(hub, "a"), await world.app(hub, "b")
    assert await app.get(hub, "?wait=0.05") == {}
    waiting = [asyncio.create_task(each.get(hub, "?wait=30")) for each in (app, other)]
    same_app = asyncio.create_task(app.get(hub, "?wait=2"))
    waiters = _waiters(hub)
    async with asyncio.timeout(PATIENCE):
        while len(waiters) < 3:
            await asyncio.sleep(0.01)
        await other.report(hub, 4, A)
        assert sorted([each["level"] for each in await asyncio.gather(*waiting, same_app) if each]) == [4, 4]
    tag = '"1"'
    assert (await app.call(hub, "?wait=0.05", If_None_Match=tag)).status == 304


def _waiters(hub: RunningHub) -> Any:
    feature = next(each for each in hub.hub.features if each.name == "criticality")
    runtime: Any = feature.runtime
    return runtime.crowd


async def test_a_stream_tells_each_change_and_goes_on_where_it_was(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    await app.report(hub, 2, A)
    stream = await open_stream(hub, app)
    first = await read_event(stream)
    assert (first["id"], first["event"], json.loads(first["data"])["level"]) == ("1", "change", 2)
    await app.report(hub, 3, B)
    assert (await read_event(stream))["id"] == "2"
    assert await app.get(hub) == {}, "what a stream told counts as told"
    stream.abort()
    fresh = await open_stream(hub, app)
    await app.report(hub, 4, "2026-01-31T13:00:00Z")
    assert (await read_event(fresh))["id"] == "3", "nothing was told again of itself"
    fresh.abort()
    for headers, query in (({"Last_Event_ID": "1"}, ""), ({}, "?since=0"), ({"Last_Event_ID": "junk"}, "?since=3")):
        again = await open_stream(hub, app, query, **headers)
        assert (await read_event(again))["id"] == "3"
        again.abort()


async def test_streams_end_when_the_hub_drains(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    stream = await open_stream(hub, app)
    waiting = asyncio.create_task(app.get(hub, "?wait=30"))
    async with asyncio.timeout(PATIENCE):
        while len(_waiters(hub)) < 2:
            await asyncio.sleep(0.01)
        hub.hub.context.drain.begin()
        assert b"Last-Event-ID" in await stream.rest()
        assert await waiting == {}
    await stream.close()


async def test_asks_need_the_scope(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a", "criticality:write")
    assert [(await app.call(hub, path)).status for path in ("", "/x", "/stream", "/history")] == [403] * 4
    assert (await hub.ask(PATH.encode())).status == 401


async def test_a_shared_token_names_the_app_in_a_header(world: World) -> None:
    hub = await world.hub()
    shared = await world.app(hub, "", any_app=True)
    await shared.call(hub, method="POST", body={"level": 2, "changed_at": A}, App_name="p")
    assert [bool(await shared.get(hub, App_name=name)) for name in ("a", "b", "a")] == [True, True, False]
    assert (await shared.call(hub)).status == 400


async def test_two_hubs_agree(world: World) -> None:
    """On PostgreSQL; on SQLite two server processes do not share a database."""
    if world.place.dialect == "sqlite":
        return
    one, two = await world.hub(), await world.hub()
    app = await world.app(one, "a")
    for number in range(1, 6):
        waiting = [asyncio.create_task(app.get(hub, "?wait=10")) for hub in (one, two, one, two)]
        async with asyncio.timeout(PATIENCE):
            while len(_waiters(one)) + len(_waiters(two)) < 4:
                await asyncio.sleep(0.005)
            await app.report(one, number % 5 + 1, f"2026-01-31T10:00:0{number}Z")
            done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [each.result()["revision"] for each in done] == [number]
        for each in pending:
            each.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        answers = await asyncio.gather(*(app.get(hub) for hub in (one, two) * 3))
        assert answers == [{}] * 6


async def test_who_was_told_of_what_is_written_before_it_is_answered(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    await app.report(hub, 2, A)
    await app.get(hub)
    db = hub.hub.context.db
    told = await db.read(lambda tx: tx.execute(sa.select(delivery.c.app, delivery.c.delivered)).all())
    assert [tuple(each) for each in told] == [("a", 1)]
    assert [each.revision for each in await db.read(store.find_signals)] == [1]
