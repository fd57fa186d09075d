"""Answers at the socket: their framing, their ends, what an application does wrong."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from signalbox.app.cycle import JOINED
from signalbox.core.asgi import Receive, Scope, Send, Turn
from tests.app.answering import ask, opened
from tests.support.hub import Client, request
from tests.support.timing import PATIENCE


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with opened() as (client, _):
        yield client


async def test_answers_of_every_framing_follow_each_other_on_one_connection(client: Client) -> None:
    expected = [
        (b"/length", 200, b"abcdef"),
        (b"/unknown", 200, b"abcdef"),
        (b"/empty", 200, b""),
        (b"/none", 204, b""),
        (b"/unchanged", 304, b""),
        (b"/large", 200, b"x" * (2 * JOINED)),
    ]
    for _ in range(2):
        for target, status, body in expected:
            answer = await ask(client, target)
            assert (answer.status, answer.body, answer.whole) == (status, body, True), target
            chunks = answer.value(b"transfer-encoding")
            assert chunks == (b"chunked" if target == b"/unknown" else None), target


async def test_head_has_no_body_and_keeps_its_length(client: Client) -> None:
    for target, length in ((b"/length", b"6"), (b"/unknown", None), (b"/large", b"%d" % (2 * JOINED))):
        answer = await ask(client, target, method=b"HEAD")
        assert (answer.status, answer.value(b"content-length")) == (200, length)
    assert (await ask(client, b"/length")).body == b"abcdef"


async def test_requests_sent_at_once_are_answered_in_order(client: Client) -> None:
    targets = [b"/1", b"/unknown", b"/2", b"/length", b"/3"]
    await client.send(b"".join(map(request, targets)))
    answers = [await client.answer() for _ in targets]
    assert [json.loads(answer.body)["path"] for answer in answers[::2]] == ["/1", "/2", "/3"]
    assert [answer.body for answer in answers[1::2]] == [b"abcdef", b"abcdef"]


async def test_an_old_client_gets_a_body_up_to_the_end(client: Client) -> None:
    await client.send(request(b"/unknown", version=b"HTTP/1.0"))
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b"abcdef"


async def test_an_application_may_close(client: Client) -> None:
    answer = await ask(client, b"/close")
    assert (answer.body, answer.values(b"connection")) == (b"a", [b"close"])
    assert await client.ended()


@pytest.mark.parametrize("target", [b"/too-long", b"/too-short"])
async def test_a_body_of_another_length_than_said_never_ends_well(
    client: Client, target: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await client.send(request(target) + request(b"/length"))
    received = await client.rest()
    assert b"abcdef" not in received
    assert b"\r\n\r\nab" not in received or target == b"/too-short"
    assert "not as long as its Content-Length" in caplog.text


@pytest.mark.parametrize("target", [b"/split", b"/nul"])
async def test_a_header_cannot_hold_another(client: Client, target: bytes, caplog: pytest.LogCaptureFixture) -> None:
    await client.send(request(target))
    received = await client.rest()
    assert b"set-cookie" not in received
    assert b"\0" not in received
    assert received.startswith(b"HTTP/1.1 500") or received == b""
    assert "line end or NUL" in caplog.text


async def test_an_answer_that_an_application_leaves_unfinished_never_ends_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    for version, ending in ((b"HTTP/1.1", b"4\r\nhalf\r\n"), (b"HTTP/1.0", b"")):
        async with opened(app) as (client, _):
            await client.send(request(b"/", version=version))
            received = await client.rest()
            assert received.endswith(ending)
            assert not received.endswith(b"0\r\n\r\n")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_an_application_that_fails_says_500_and_what_it_said_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        msg = "what only the log may say"
        raise ValueError(msg)

    async with opened(app) as (client, _):
        answer = await ask(client, b"/")
        assert (answer.status, answer.body) == (500, b"Internal Server Error")
        assert await client.ended()
    assert "what only the log may say" in caplog.text


async def test_an_application_waits_for_a_client_that_takes_nothing() -> None:
    sent, stop = 0, asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not stop.is_set():
            await send({"type": "http.response.body", "body": b"x" * JOINED, "more_body": True})
            sent += JOINED

    async with opened(app) as (client, _):
        await client.send(request(b"/"))
        before = -1
        async with asyncio.timeout(PATIENCE):
            while sent != before:
                before = sent
                await asyncio.sleep(0.2)
        assert 0 < sent < 20_000_000
        await client.reader.readexactly(sent)
        assert sent > before
        client.abort()
        await asyncio.sleep(0.1)  # the application goes on, and leaves others their turn
        stop.set()


async def test_a_client_that_leaves_is_told_to_the_application() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            told.put_nowait(f"body {message['more_body']}")
        await send({"type": "http.response.start", "status": 200, "headers": []})  # heard by nobody
        told.put_nowait("gone")

    async with opened(app) as (client, _):
        await client.send(request(b"/"))
        assert await asyncio.wait_for(told.get(), PATIENCE) == "body False"
        client.abort()
        assert await asyncio.wait_for(told.get(), PATIENCE) == "gone"


async def test_a_body_that_was_never_asked_for_ends_the_connection() -> None:
    """The client may send it all the same or not: what comes next could be either."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    inside = request(b"/smuggled")
    async with opened(app) as (client, _):
        expect = [(b"Expect", b"100-continue"), (b"Content-Length", b"%d" % len(inside))]
        await client.send(request(b"/", method=b"POST", headers=expect))
        answer = await client.answer()
        assert (answer.status, answer.interim, answer.value(b"connection")) == (401, [], b"close")
        await client.send(inside)
        assert await client.rest() == b""


async def test_an_answer_to_a_request_that_asks_to_close_survives_its_unread_body(client: Client) -> None:
    body = b"x" * 5_000_000
    await client.send(request(b"/refuse", method=b"POST", headers=[(b"Connection", b"close")], body=body))
    answer = await client.answer()
    assert (answer.status, answer.value(b"connection")) == (413, b"close")
    assert await client.ended()


class Begun:
    """An application that answers without a task: as the path says, or by a task, or not at all."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"task"})

    def begin(self, scope: Scope, turn: Turn) -> bool:
        path: str = scope["path"]
        if path == "/fails":
            raise ValueError(path)
        if path == "/task":
            turn.run(self)
        elif path != "/declined":
            headers = [(b"x-bad", b"a\r\nset-cookie: b")] if path == "/split" else [(b"content-length", b"5")]
            asyncio.get_running_loop().call_later(0.01, turn.answer, 200, headers, b"begun")
        return path != "/declined"


async def test_an_application_may_answer_without_a_task() -> None:
    async with opened(Begun()) as (client, _):
        for target, body in ((b"/", b"begun"), (b"/task", b"task"), (b"/declined", b"task")):
            assert (await ask(client, target)).body == body
        await client.send(request(b"/") + request(b"/task") + request(b"/"))
        assert [(await client.answer()).body for _ in range(3)] == [b"begun", b"task", b"begun"]
        assert (await ask(client, b"/", method=b"HEAD")).whole


@pytest.mark.parametrize("target", [b"/fails", b"/split"])
async def test_what_fails_without_a_task_says_500_and_is_logged(
    target: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(Begun()) as (client, _):
        answer = await ask(client, target)
        assert (answer.status, answer.body) == (500, b"Internal Server Error")
        assert await client.ended()
    assert "a request failed" in caplog.text


async def test_a_client_that_takes_nothing_gets_no_more_answers_without_a_task() -> None:
    class Large(Begun):
        answered = 0

        def begin(self, scope: Scope, turn: Turn) -> bool:
            self.answered += 1
            turn.answer(200, [(b"content-length", b"1000000")], b"x" * 1_000_000)
            return True

    app = Large()
    async with opened(app) as (client, _):
        await client.send(request(b"/") * 200)
        await asyncio.sleep(0.2)
        assert app.answered < 20
