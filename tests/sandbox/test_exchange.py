import pytest
from starlette.types import Message

from signalbox.sandbox.exchange import Exchange, Tally


def _exchange(path: bytes, *messages: Message) -> tuple[Exchange, Tally, list[Message]]:
    incoming, sent, tally = list(messages), [], Tally()

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"method": "GET", "raw_path": path, "query_string": b"", "headers": []}
    return Exchange(scope, receive, send, tally), tally, sent


@pytest.mark.parametrize(
    ("path", "argument"), [(b"/a/12", 12), (b"/a", 7), (b"/a/-1", 7), (b"/a/x", 7), (b"/a/\xb2", 7), (b"/a/3/4", 3)]
)
async def test_argument(path: bytes, argument: int) -> None:
    assert _exchange(path)[0].argument(default=7) == argument


async def test_body_is_counted() -> None:
    exchange, tally, _ = _exchange(
        b"/",
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"", "more_body": True},
        {"type": "http.request", "body": b"c"},
    )
    assert [piece async for piece in exchange.body()] == [b"ab", b"c"]
    assert tally.bytes_received == 3


async def test_body_ends_when_the_client_goes() -> None:
    exchange, _, _ = _exchange(b"/", {"type": "http.disconnect"})
    assert [piece async for piece in exchange.body()] == []


@pytest.mark.parametrize(("status", "length", "sent_bytes"), [(200, [(b"content-length", b"2")], 2), (204, [], 0)])
async def test_answer(status: int, length: list[tuple[bytes, bytes]], sent_bytes: int) -> None:
    exchange, tally, sent = _exchange(b"/")
    await exchange.answer(status, b"ok")
    assert sent[0] == {"type": "http.response.start", "status": status, "headers": length}
    assert sent[1]["more_body"] is False
    assert tally.bytes_sent == sent_bytes


async def test_pause_tells_whether_the_client_is_there() -> None:
    exchange, tally, _ = _exchange(b"/", {"type": "http.disconnect"})
    async with exchange:
        assert not await exchange.pause(60)
    assert (tally.requests, tally.aborted) == (1, 1)
