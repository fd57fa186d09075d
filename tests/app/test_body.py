import pytest
from starlette.exceptions import HTTPException

from signalbox.app.body import BodyTooLargeError, check_length, declared_length, limited
from signalbox.core.asgi import Message


def test_the_declared_length_is_that_of_the_header() -> None:
    assert declared_length([(b"host", b"a"), (b"content-length", b"12")]) == 12
    assert declared_length([(b"host", b"a")]) == 0


def test_the_limit_itself_is_taken() -> None:
    check_length(10, 10)
    with pytest.raises(BodyTooLargeError, match="larger than the 10 bytes"):
        check_length(11, 10)


async def read(pieces: list[bytes], limit: int) -> list[Message]:
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    waiting = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(waiting)

    counted = limited(receive, limit)
    return [await counted() for _ in range(len(pieces) + 1)]


async def test_pieces_are_counted_together() -> None:
    messages = await read([b"12345", b"67890"], 10)
    assert [message.get("body") for message in messages] == [b"12345", b"67890", None]
    with pytest.raises(HTTPException, match="larger than the 9 bytes") as caught:
        await read([b"12345", b"67890"], 9)
    assert caught.value.status_code == 413
