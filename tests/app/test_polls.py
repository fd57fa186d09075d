import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

import pytest

from signalbox.app.features import Feature
from signalbox.auth.doors import Poll, Ready
from signalbox.auth.principal import Principal
from signalbox.core.asgi import Receive, Scope, Send, answer
from tests.app.conftest import Site, is_problem, open_site
from tests.support.databases import Place
from tests.support.durable_hub import create_table
from tests.support.hub import Client, request, settings_at
from tests.support.timing import PATIENCE, until
from tests.support.waiting_hub import READ, SCOPE, Makes, World

LEVEL, STREAM, CHANGE = "/api/test/level", "/api/test/stream", "/api/test/change"


@pytest.fixture
def makes() -> Makes:
    return Makes()


@pytest.fixture
async def site(sqlite_place: Place, makes: Makes) -> AsyncIterator[Site]:
    made = settings_at(sqlite_place, root_path="/b")
    create_table(made)
    async with open_site(made, extra=[makes]) as opened:
        yield opened


@pytest.fixture
def world(site: Site, makes: Makes) -> World:
    return makes.world


# -- answers from memory ----------------------------------------------------------------------------------------------


async def test_a_poll_answers_who_has_its_scope(site: Site) -> None:
    token = await site.token(READ)
    for path in (LEVEL, f"{LEVEL}/", f"/b{LEVEL}"):
        answer = await site.client.get(path, headers=token)
        assert (answer.status_code, answer.json()) == (200, {})
        assert len(answer.headers.get_list("x-request-id")) == len(answer.headers.get_list("date")) == 1
        assert answer.headers["content-length"] == "2"
    is_problem(await site.client.get(LEVEL), status=401, code="sign_on_required")
    is_problem(await site.client.get(LEVEL, headers={"Token": "sbx_" + "x" * 40}), status=401, code="invalid_token")
    is_problem(await site.client.get(LEVEL, headers=await site.token(SCOPE)), status=403, code="missing_scope")


async def test_without_a_scope_everybody_is_anonymous(site: Site) -> None:
    answer = await site.client.get("/api/test/named/a%20b", headers={"Token": "no token at all"})
    assert answer.json() == {"name": "a b", "by": "anonymous:anonymous"}


async def test_an_exact_path_goes_before_a_template(site: Site) -> None:
    assert (await site.client.get("/api/test/named/level", headers=await site.token(READ))).json() == {}
    is_problem(await site.client.get("/api/test/named/level"), status=401, code="sign_on_required")


async def test_head_and_other_methods(site: Site) -> None:
    head = await site.client.head(LEVEL, headers=await site.token(READ))
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "2")
    answer = await site.client.post(LEVEL)
    is_problem(answer, status=405, code="method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"
    assert (await site.client.options("/api/test/named/x")).headers["allow"] == "GET, HEAD, PUT"


async def test_what_nobody_expected_is_logged_and_not_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    answer = await site.client.get("/api/test/fail")
    is_problem(answer, status=500, code="internal_error")
    assert "nobody outside" not in answer.text
    assert "nobody outside" in caplog.text


async def test_what_is_at_hand_goes_only_to_who_may_have_it(sqlite_place: Place) -> None:
    asked: list[str] = []

    def at_once(
        headers: Mapping[bytes, bytes], parameters: Mapping[str, str], principal: Principal, now: int
    ) -> Ready | None:
        asked.append(principal.actor)
        assert parameters == {"name": "a b"}
        assert now > 0
        return None if b"x-later" in headers else Ready.of([(b"x-kind", b"ready")], b"at hand")

    async def handle(scope: Scope, _receive: Receive, send: Send, _principal: Principal) -> None:
        await answer(scope, send, status=200, headers=[(b"content-length", b"5")], body=b"found")

    poll = Poll(path="/api/hand/{name}", scope=READ, handle=handle, at_once=at_once, summary="Hand", answer=None)
    path = "/api/hand/a%20b"
    async with open_site(settings_at(sqlite_place), extra=[lambda *_: Feature("hand", polls=[poll])]) as site:
        reader, writer = await site.token(READ), await site.token(SCOPE)
        assert (await site.client.get(path, headers=reader)).content == b"found", "nobody is remembered yet"
        got = await site.client.get(path, headers={**reader, "X-Request-ID": "mine"})
        assert (got.content, got.headers["x-request-id"], "date" in got.headers) == (b"at hand", "mine", True)
        assert (got.headers["content-length"], got.headers["x-kind"]) == ("7", "ready")
        bearer = {"Authorization": f"bearer {reader['Token']}"}
        assert (await site.client.get(path, headers=bearer)).content == b"at hand"
        assert len(asked) == 2, "only for those who are remembered and have the scope"
        assert (await site.client.get(path, headers={**reader, "X-Later": "1"})).content == b"found"
        for _ in range(2):
            is_problem(await site.client.get(path, headers=writer), status=403, code="missing_scope")
            is_problem(await site.client.get(path), status=401, code="sign_on_required")
            wrong = {"Authorization": "Basic eDp5"}
            is_problem(await site.client.get(path, headers=wrong), status=401, code="invalid_token")
    assert len(asked) == 3


# -- long polls -------------------------------------------------------------------------------------------------------


async def test_all_who_wait_hear_of_a_change(site: Site, world: World) -> None:
    waiting = [asyncio.create_task(site.running.ask(CHANGE.encode())) for _ in range(50)]
    await until(lambda: len(world.waiters) == 50)
    assert world.waiters.wake("level", b'{"level": 5}') == 50
    assert {answer.body for answer in await asyncio.gather(*waiting)} == {b'{"level": 5}'}
    assert len(world.waiters) == 0


async def test_one_who_leaves_waits_no_more(site: Site, world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with site.running.client() as client:
        await client.send(request(CHANGE.encode()))
        await until(lambda: len(world.waiters) == 1)
        client.abort()
        await until(lambda: len(world.waiters) == 0)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_drain_answers_all_who_wait(site: Site, world: World) -> None:
    waiting = [asyncio.create_task(site.running.ask(CHANGE.encode())) for _ in range(5)]
    await until(lambda: len(world.waiters) == 5)
    world.context.drain.begin()
    assert {answer.body for answer in await asyncio.gather(*waiting)} == {b"{}"}


# -- streams ----------------------------------------------------------------------------------------------------------


async def read_until(client: Client, end: bytes) -> bytes:
    """What comes, chunk sizes included, up to ``end``."""
    async with asyncio.timeout(PATIENCE):
        return await client.reader.readuntil(end)


async def test_a_stream_tells_of_what_is_committed(site: Site, world: World) -> None:
    async with site.running.client() as client:
        await client.send(request(STREAM.encode()))
        status, headers, _ = await client.head()
        assert status == 200
        assert dict(headers)[b"content-type"] == b"text/event-stream; charset=utf-8"
        assert b"retry: 1000" in await read_until(client, b"\n\n")
        token = await site.token(SCOPE)
        for text in ("one", "two"):
            assert (await site.client.post("/api/test/said", json={"text": text}, headers=token)).status_code == 201
            assert f"id: {text}\ndata: {text}\n\n".encode() in await read_until(client, b"\n\n")
        refused = await site.client.post("/api/test/said", json={"text": "taken"}, headers=token)
        assert refused.status_code == 409
        assert (await site.client.post("/api/test/said", json={"text": "three"}, headers=token)).status_code == 201
        assert b"taken" not in await read_until(client, b"data: three\n\n")
        client.abort()
        await until(lambda: world.streams == 0)


async def test_a_drain_ends_streams_as_answers_end(site: Site, world: World) -> None:
    async with site.running.client() as client:
        await client.send(request(STREAM.encode()))
        await until(lambda: world.streams == 1)
        world.context.drain.begin()
        answer = await client.answer()
        assert answer.whole
        assert b"come back with Last-Event-ID" in answer.body
    assert world.streams == 0


async def test_a_reader_that_takes_nothing_is_cut_off_and_holds_no_memory(site: Site, world: World) -> None:
    async with site.running.client() as client:
        await client.send(request(STREAM.encode()))
        await until(lambda: world.streams == 1)
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        said = "x" * 3_000

        def say_much() -> bool:
            for _ in range(2_000):
                world.context.broadcast._listeners.deliver("test", said)  # type: ignore[attr-defined]
            return world.streams == 0

        async with asyncio.timeout(PATIENCE):
            for _ in range(3):
                say_much()
                await asyncio.sleep(0.01)
            client.reader._transport.resume_reading()  # type: ignore[attr-defined]
            answer = await client.answer()
        assert answer.whole
        assert answer.body.endswith(b": this reader fell behind; come back with Last-Event-ID\n\n")
    await until(lambda: world.streams == 0)
