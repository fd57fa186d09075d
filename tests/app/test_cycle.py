"""Answers at the socket: their framing, their ends, what an application does wrong."""

from collections.abc import AsyncIterator

import pytest

from signalbox.app.cycle import JOINED
from tests.app.answering import ask, opened
from tests.support.hub import Client, request


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


