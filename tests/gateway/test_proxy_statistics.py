"""Every call is recorded, off its path, and counted whatever happens to the database."""

import asyncio
import contextlib
import random
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, text

from signalbox.app.hub import calls_path
from signalbox.gateway import call_blocks, store
from signalbox.gateway.schemas import Filters
from tests.gateway.conftest import START, World, made_call, recorded
from tests.support.databases import Place, PostgresqlPlace, PostgresqlServer
from tests.support.hub import Client, RunningHub, request, running_hub, settings_at
from tests.support.timing import PATIENCE

Away = Callable[[], AbstractContextManager[None]]


async def counted(hub: RunningHub) -> int:
    """The calls in the sums of minutes."""
    rows = await hub.hub.context.calls_db.read(lambda tx: list(store.find_sums(tx, Filters())))
    return sum(row.sums.count for row in rows)


async def test_what_is_recorded_of_a_call(each_world: World) -> None:
    hub = await each_world.hub({"name": "raw", "routes": ["/slow-read/{rate}"]})
    token = await hub.token("gateway", app="till")
    headers = [(b"Token", token.text.encode()), (b"X-Request-ID", b"id-1"), (b"X-Forwarded-For", b"198.51.100.1")]
    before = time.time()
    await hub.ask(b"/a/../slow-read/5000000?q=1", method=b"PUT", headers=headers, body=b"x" * 200_000)
    (call,) = await recorded(hub)
    assert (call.path, call.route, call.upstream) == ("/slow-read/5000000", "/slow-read/{rate}", "raw")
    assert (call.method, call.status_code, call.request_bytes, call.response_bytes) == ("PUT", 200, 200_000, 5)
    assert (call.client, call.app, call.request_id) == ("127.0.0.1", "till", "id-1")
    assert before - 0.001 <= call.created_at.timestamp() <= time.time()
    assert 0.03 <= call.seconds <= time.time() - before + 0.001


async def test_calls_that_end_at_the_hub_are_recorded_too(world: World) -> None:
    hub = await world.hub(
        {"name": "guarded", "prefix": "/guarded", "access": "token", "max_body": 3},
        {"name": "away", "prefix": "/away", "url": world.raw.refused_url},
    )
    token = (await hub.token("statistics:read", app="till")).text.encode()
    await hub.ask(b"/nobody", method=b"POST", body=b"abc")
    await hub.ask(b"/guarded")
    await hub.ask(b"/guarded", headers=[(b"Token", token)])
    await hub.ask(b"/away", headers=[(b"Authorization", b"Basic eDp5")])
    told = [(call.path, call.upstream, call.route, call.status_code, call.app) for call in await recorded(hub, 4)]
    assert told == [
        ("/nobody", None, "unmatched", 404, None),
        ("/guarded", "guarded", "unmatched", 401, None),
        ("/guarded", "guarded", "unmatched", 403, "till"),
        ("/away", "away", "unmatched", 502, None),
    ]


async def test_calls_of_the_hub_s_own_paths_are_not_calls_of_the_gateway(world: World) -> None:
    hub = await world.hub()
    await hub.ask(b"/healthz")
    await hub.ask(b"/x")
    assert [call.path for call in await recorded(hub)] == ["/x"]


async def test_the_client_is_the_one_that_trusted_proxies_name(world: World) -> None:
    hub = await world.hub(gateway={"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]})
    for chain in (b"198.51.100.1", b"1.1.1.1, 2001:db8::1, 10.0.0.9", b"nonsense", b""):
        await hub.ask(b"/x", headers=[(b"X-Forwarded-For", chain)])
    seen = [call.client for call in await recorded(hub, 4)]
    assert seen == ["198.51.100.1", "2001:db8::1", "127.0.0.1", "127.0.0.1"]


async def test_a_long_path_is_recorded_in_part(world: World) -> None:
    hub = await world.hub()
    assert (await hub.ask(b"/" + b"a" * 10_000)).status == 200
    assert [len(call.path) for call in await recorded(hub)] == [2_048]


async def test_calls_are_written_soon_and_on_shutdown(place: Place, world: World) -> None:
    settings = settings_at(place, gateway={"upstreams": [{"name": "raw", "url": world.raw.url}], "default": "raw"})
    async with running_hub(settings) as hub:
        await hub.ask(b"/first")
        async with asyncio.timeout(PATIENCE):
            while not await counted(hub):
                await asyncio.sleep(0.02)
        for number in range(50):
            await hub.ask(b"/%d" % number)
    async with running_hub(settings) as hub:
        rows = await hub.hub.context.calls_db.read(call_blocks.find_calls, Filters(), before=None, limit=100)
        assert len(rows) == 51
        assert await counted(hub) == 51


# -- where they are kept --------------------------------------------------------------------------------------------


async def test_on_sqlite_calls_live_in_a_file_of_their_own(tmp_path: Path, world: World) -> None:
    hub = await world.hub()
    await hub.ask(b"/x")
    await recorded(hub)
    tables = {}
    for path in (tmp_path / "main.db", calls_path(tmp_path / "main.db")):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            tables[path.stem] = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert {"call_block", "call_minute"} <= tables["main-calls"]
    assert {"call_block", "call_minute"}.isdisjoint(tables["main"])

    def synchronous(tx: Connection) -> object:
        return tx.execute(text("PRAGMA synchronous")).scalar()

    assert await hub.hub.context.calls_db.write(synchronous) == 1  # NORMAL
    assert await hub.hub.context.db.write(synchronous) == 2  # FULL


async def test_on_sqlite_statistics_do_not_wait_for_durable_writes(tmp_path: Path, world: World) -> None:
    hub = await world.hub()
    with contextlib.closing(sqlite3.connect(tmp_path / "main.db", timeout=PATIENCE)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        await hub.ask(b"/x")
        async with asyncio.timeout(PATIENCE):
            assert [call.path for call in await recorded(hub)] == ["/x"]


async def test_retention_keeps_the_newest_and_the_sums(each_world: World) -> None:
    hub = await each_world.hub(retention={"call_rows": 1_000, "calls": "7d"})
    now = hub.hub.context.clock.now()
    old = [made_call(path=f"/old/{number}", created_at=START) for number in range(100)]
    new = [made_call(path=f"/new/{number}", created_at=now) for number in range(1_500)]
    for calls in (old, new[:500], new[500:600], new[600:]):
        await hub.hub.context.calls_db.write(store.write_batch, call_blocks.pack(calls), [])
    await hub.ask(b"/x")
    await hub.flush()
    assert await hub.hub.sweeper.sweep() == 100 + 500
    rows = await hub.hub.context.calls_db.read(call_blocks.find_calls, Filters(), before=None, limit=2_000)
    assert [call.path for _, call in rows] == ["/x", *(f"/new/{number}" for number in range(1_499, 499, -1))]
    assert await counted(hub) == 1


# -- the database is away -------------------------------------------------------------------------------------------


async def call(client: Client, times: int) -> None:
    for _ in range(times):
        await client.send(request(b"/x"))
        assert (await client.answer()).status == 200


async def test_the_proxy_goes_on_while_the_database_is_away(each_world: World, away: Away) -> None:
    hub = await each_world.hub()
    async with hub.client() as client:
        with away():
            flushing = asyncio.create_task(hub.flush())
            async with asyncio.timeout(PATIENCE):
                await call(client, 300)
            waiting = await hub.ask(b"/metrics")
            assert re.search(rb"signalbox_calls_waiting \d", waiting.body)
            assert b"signalbox_calls_dropped_total 0.0" in waiting.body
        await flushing
    async with asyncio.timeout(PATIENCE):
        while await counted(hub) < 300:
            await hub.flush()
    assert await counted(hub) == 300
    rows = await hub.hub.context.calls_db.read(call_blocks.find_calls, Filters(), before=None, limit=1_000)
    assert len(rows) == 300


async def test_the_gateway_role_stays_ready_and_serves_without_a_database(
    world: World, postgresql_server: PostgresqlServer
) -> None:
    with postgresql_server.database() as place:
        assert isinstance(place, PostgresqlPlace)
        gateway = {"upstreams": [{"name": "raw", "url": world.raw.url}], "default": "raw"}
        async with running_hub(settings_at(place, role="gateway", gateway=gateway)) as hub:
            assert b'"ready"' in (await hub.ask(b"/readyz")).body
            known = (await hub.token("gateway")).text.encode()
            assert (await hub.ask(b"/x", headers=[(b"Token", known)])).status == 200
            with postgresql_server.closed(place):
                async with asyncio.timeout(PATIENCE):
                    while b'"degraded"' not in (readiness := await hub.ask(b"/readyz")).body:
                        await asyncio.sleep(0.05)
                assert readiness.status == 200
                assert (await hub.ask(b"/x")).status == 200
                assert (await hub.ask(b"/x", headers=[(b"Token", known)])).status == 200
                unknown = await hub.ask(b"/x", headers=[(b"Token", b"sbx_" + b"x" * 40)])
                assert unknown.status == 503
                assert (await hub.ask(b"/api/statistics/")).status == 200  # not its own path: it went upstream
            assert world.seen.target == "/api/statistics/"
            async with asyncio.timeout(PATIENCE):
                while await counted(hub) < 5:
                    await hub.flush()


# -- /metrics -------------------------------------------------------------------------------------------------------


async def series(hub: RunningHub) -> set[bytes]:
    """The names with labels of all that ``/metrics`` shows of the gateway."""
    lines = (await hub.ask(b"/metrics")).body.splitlines()
    return {line.rpartition(b" ")[0] for line in lines if line.startswith(b"signalbox_gateway_")}


async def test_metrics_stay_bounded_whatever_is_asked(world: World) -> None:
    hub = await world.hub({"name": "raw", "prefix": "/api", "routes": ["/api/items/{id}"]})
    for target in (b"/api/items/1", b"/api/x", b"/elsewhere"):
        await hub.ask(target)
    before = await series(hub)
    dice = random.Random(0)
    asked = 5_000

    async def ask(client: Client, number: int) -> None:
        for _ in range(number):
            where = dice.choice([b"/api/items/", b"/api/", b"/%25", b"/"])
            await client.send(request(where + b"%x" % dice.getrandbits(64)))
            await client.answer()

    clients = [await Client.connect(hub.port) for _ in range(10)]
    await asyncio.gather(*(ask(client, asked // 10) for client in clients))
    for client in clients:
        await client.close()
    assert await series(hub) == before
    shown = (await hub.ask(b"/metrics")).body.decode()
    counts = re.findall(r"^signalbox_gateway_requests_total\{.*\} (\S+)$", shown, re.MULTILINE)
    assert sum(map(float, counts)) == asked + 3


async def test_metrics_tell_of_calls_by_route_and_status(world: World) -> None:
    hub = await world.shop_hub(routes=["/status/{code}"])
    for code in (200, 200, 503):
        await hub.ask(b"/status/%d" % code)
    await recorded(hub, 3)
    shown = (await hub.ask(b"/metrics")).body.decode()
    for status, count in ((200, 2), (503, 1)):
        labels = f'method="GET",route="/status/{{code}}",status="{status}",upstream="shop"'
        assert f"signalbox_gateway_requests_total{{{labels}}} {count}.0\n" in shown
    assert 'signalbox_gateway_request_seconds_count{route="/status/{code}",upstream="shop"} 3.0\n' in shown


async def test_many_calls_at_once_are_all_counted(each_world: World) -> None:
    hub = await each_world.hub()
    clients = [await Client.connect(hub.port) for _ in range(20)]
    await asyncio.gather(*(call(client, 50) for client in clients))
    for client in clients:
        await client.close()
    assert len(await recorded(hub, 500)) == 500  # the newest page
    await hub.flush()
    assert await counted(hub) == 1_000
