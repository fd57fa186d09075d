import asyncio

from signalbox.sandbox.scripted import HANG, LARGEST, Received, Reply, ScriptedApp, json_reply, pick
from signalbox.sandbox.server import LoopbackServer
from tests.sandbox.conftest import Fetch
from tests.support.timing import until


class Counting(ScriptedApp):
    def answer(self, request: Received) -> Reply:
        return json_reply(201, {"length": len(request.body)}, [(b"x-own", b"1")])


async def test_planned_replies_come_first_then_the_standing_one_then_its_own(fetch: Fetch) -> None:
    app = Counting()
    app.script(Reply(500), Reply(429, b"slow", [(b"retry-after", b"1")]))
    async with LoopbackServer(app) as server:
        assert (await fetch(server.url)).status == 500
        second = await fetch(server.url)
        assert (second.status, second.body, second.values("retry-after")) == (429, b"slow", ["1"])
        own = await fetch(f"{server.url}/x?y=1", "POST", b"abc")
        assert (own.status, own.body, own.values("x-own")) == (201, b'{"length": 3}', ["1"])
        app.always = Reply(503)
        assert (await fetch(server.url)).status == 503
    last = app.received[2]
    assert (last.method, last.path, last.body, app.count) == ("POST", "/x?y=1", b"abc", 4)
    assert last.headers["content-length"] == "3"


async def test_a_body_beyond_the_bound_is_not_kept(fetch: Fetch) -> None:
    app = ScriptedApp()
    async with LoopbackServer(app) as server:
        await fetch(server.url, "POST", b"x" * (LARGEST + 1))
    assert len(app.received[0].body) <= LARGEST


async def test_a_hanging_reply_ends_with_its_client() -> None:
    app = ScriptedApp()
    app.script(HANG)
    async with LoopbackServer(app) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        await until(lambda: app.count)
        writer.close()
        await until(lambda: app.tally.aborted)


def test_pick() -> None:
    value = {"a": [{"b": 1}]}
    assert (pick(value, "a", 0, "b"), pick(value, "a", 1), pick(value, "x"), pick(None, "a")) == (1, None, None, None)
