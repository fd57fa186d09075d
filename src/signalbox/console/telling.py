"""What a person is told while a file is taken in: lines of JSON, of which the last says what became of it."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec

from signalbox.core.asgi import Receive, Send
from signalbox.core.errors import InvalidError, SignalboxError, TooLargeError


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line."""

    message: str
    kind: Literal["ok", "warning", "bad"] = "ok"
    share: float | None = None
    """Of all that is to be done, 0 to 1; None where nobody knows, and on the last line."""


Tell = Callable[[Told], Coroutine[Any, Any, None]]


@asynccontextmanager
async def telling(send: Send) -> AsyncIterator[Tell]:
    """An answer that begins with the first line: what is raised before is answered as an error, later on as a line."""
    lines = _Lines(send)
    try:
        yield lines.tell
    except SignalboxError as error:
        if not lines.begun:
            raise
        await lines.tell(Told(str(error), kind="bad"))
    await send({"type": "http.response.body", "body": b""})


async def read_body(receive: Receive, *, most: int) -> AsyncIterator[bytes]:
    """The body of a request as it comes.

    Raises:
        TooLargeError: it has more than ``most`` bytes.
        InvalidError: the browser left before it was whole.
    """
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            msg = "the browser left before the file was whole"
            raise InvalidError(msg)
        body, more = message.get("body", b""), message.get("more_body", False)
        size += len(body)
        if size > most:
            msg = f"the file has more than {most} bytes"
            raise TooLargeError(msg)
        yield body


class _Lines:
    def __init__(self, send: Send) -> None:
        self._send, self.begun = send, False

    async def tell(self, told: Told) -> None:
        if not self.begun:
            self.begun = True
            headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        body = msgspec.json.encode(told) + b"\n"
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
