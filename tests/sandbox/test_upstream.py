import asyncio
import json
import time

import pytest

from signalbox.sandbox.catalogue import Catalogue
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import LARGEST_ORDER, UpstreamApp
from tests.sandbox.conftest import Fetch
from tests.support.timing import until


async def test_gets(fetch: Fetch) -> None:
    shop = Catalogue(7)
    async with LoopbackServer(UpstreamApp(7, latency=False)) as server:
        for path, expected in [
            ("/categories/MLA97994", shop.category("MLA97994")),
            ("/items/MLA1", shop.item("MLA1")),
            ("/users/12", shop.user("12")),
            ("/search?q=garden+lamp", shop.search("garden lamp")),
        ]:
            answer = await fetch(server.url + path)
            assert (answer.status, json.loads(answer.body)) == (200, expected)
            assert answer.values("content-type") == ["application/json"]


async def test_several_items_at_once(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp(latency=False)) as server:
        answer = await fetch(server.url + "/items?ids=MLA1,none")
    assert [member["code"] for member in json.loads(answer.body)] == [200, 404]


async def test_an_order(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp(latency=False)) as server:
        answer = await fetch(server.url + "/orders", "POST", b'{"item":"MLA1"}')
        again = await fetch(server.url + "/orders", "POST", b'{"item":"MLA1"}')
        huge = await fetch(server.url + "/orders", "POST", bytes(LARGEST_ORDER + 1))
    order = json.loads(answer.body)
    assert (answer.status, order["received_bytes"]) == (201, 15)
    assert answer.values("location") == [f"/orders/{order['id']}"]
    assert json.loads(again.body) == order
    assert huge.status == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing/here", 404),
        ("GET", "/categories/none", 404),
        ("GET", "/categories", 404),
        ("GET", "/items/MLA1/deeper", 404),
        ("GET", "/items", 400),
        ("GET", "/items?ids=" + "MLA1," * 20 + "MLA1", 400),
        ("GET", "/search", 400),
        ("DELETE", "/items/MLA1", 405),
        ("GET", "/orders", 405),
    ],
)
async def test_refusals(fetch: Fetch, method: str, path: str, status: int) -> None:
    async with LoopbackServer(UpstreamApp(latency=False)) as server:
        assert (await fetch(server.url + path, method)).status == status


async def test_head_has_the_length_and_no_body(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp(latency=False)) as server:
        whole = await fetch(server.url + "/categories/MLA1")
        head = await fetch(server.url + "/categories/MLA1", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.values("content-length") == [str(len(whole.body))]


async def test_latency_is_that_of_the_endpoint(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp(failures=0)) as server:
        started = time.perf_counter()
        for number in range(1, 11):
            await fetch(f"{server.url}/search?q={number}")
        assert time.perf_counter() - started > 0.1


async def test_failures_are_as_frequent_as_asked(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp(latency=False, failures=0.5)) as server:
        answers = [await fetch(server.url + "/items/MLA1") for _ in range(60)]
    failed = [answer for answer in answers if answer.status != 200]
    assert 15 < len(failed) < 45
    assert {answer.status for answer in failed} == {404, 500, 503}
    assert all(answer.values("retry-after") == ["1"] for answer in failed if answer.status == 503)


async def test_without_latency_nothing_fails(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp(latency=False)) as server:
        assert {(await fetch(server.url + "/items/MLA1")).status for _ in range(200)} == {200}


async def test_behaviours_never_fail(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp(latency=True, failures=1.0)) as server:
        assert (await fetch(server.url + "/cookies")).status == 200
        assert (await fetch(server.url + "/items/MLA1")).status in {404, 500, 503}


async def test_a_client_that_leaves_is_noticed() -> None:
    app = UpstreamApp(latency=False)
    async with LoopbackServer(app) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /delay/60000 HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: app.tally.requests)
        writer.close()
        await until(lambda: app.tally.aborted)
