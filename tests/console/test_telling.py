import json

import pytest

from signalbox.console.telling import Told, read_body, telling
from signalbox.core.asgi import Message
from signalbox.core.errors import InvalidError, TooLargeError


class LeftError(InvalidError):
    """It breaks off."""


class Line:
    """A connection: what was sent, and what is to come."""

    def __init__(self, *coming: Message) -> None:
        self.sent: list[Message] = []
        self.coming = list(coming)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def receive(self) -> Message:
        return self.coming.pop(0)

    def told(self) -> list[object]:
        return [json.loads(line) for each in self.sent for line in each.get("body", b"").splitlines()]


def piece(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_each_step_is_a_line() -> None:
    line = Line()
    async with telling(line.send) as tell:
        await tell(Told("half", share=0.5))
        await tell(Told("all of it"))
    assert line.told() == [{"message": "half", "share": 0.5}, {"message": "all of it"}]
    assert line.sent[0]["status"] == 200
    assert not line.sent[-1].get("more_body")


async def test_what_fails_at_once_is_an_error() -> None:
    line = Line()
    with pytest.raises(LeftError):
        async with telling(line.send):
            raise LeftError
    assert line.sent == []


async def test_what_fails_later_is_the_last_line() -> None:
    line = Line()
    async with telling(line.send) as tell:
        await tell(Told("half", share=0.5))
        raise LeftError
    assert line.told()[-1] == {"message": str(LeftError()), "kind": "bad"}


async def test_a_body_is_read_whole() -> None:
    line = Line(piece(b"ab", more=True), piece(b"c", more=False))
    assert [each async for each in read_body(line.receive, most=3)] == [b"ab", b"c"]


@pytest.mark.parametrize(
    ("message", "error"),
    [(piece(b"abcd", more=True), TooLargeError), ({"type": "http.disconnect"}, InvalidError)],
)
async def test_a_body_that_is_too_long_or_breaks_off_is_refused(message: Message, error: type[Exception]) -> None:
    line = Line(message)
    with pytest.raises(error):
        [each async for each in read_body(line.receive, most=3)]
