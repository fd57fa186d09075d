"""A server that keeps what it is sent and answers as it is told: what the simulated messengers have in common."""

import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from signalbox.sandbox.exchange import JSON_TYPE, Exchange, Headers, Tally

KEPT = 10_000
"""Requests that are remembered; older ones are forgotten."""
LARGEST = 1 << 20
"""Bytes of a body that are read."""
FOR_EVER = 3_600.0
"""Seconds after which even a hanging server answers."""


@dataclass(frozen=True)
class Reply:
    """An answer; ``after`` is how many seconds it is held back."""

    status: int = 200
    body: bytes = b""
    headers: Headers = ()
    after: float = 0.0


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    """With its query."""
    headers: dict[str, str]
    """Names in lower case; of repeated ones the last."""
    body: bytes
    at: float
    """``time.monotonic()``."""

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)


HANG = Reply(after=FOR_EVER)


def json_reply(status: int, value: object, headers: Headers = ()) -> Reply:
    """``value`` as JSON."""
    return Reply(status, json.dumps(value).encode(), [JSON_TYPE, *headers])


class ScriptedApp:
    """An ASGI app. ``received`` holds the newest requests, ``count`` how many there were.

    Replies that ``script`` has queued come first, in their order; then ``always``, if it is set; else what the subclass
    makes of the request.
    """

    def __init__(self) -> None:
        self.received: deque[Received] = deque(maxlen=KEPT)
        self.count = 0
        self.always: Reply | None = None
        self.tally = Tally()
        self._queued: deque[Reply] = deque()

    def script(self, *replies: Reply) -> None:
        """Answer the next requests so, one each."""
        self._queued.extend(replies)

    def answer(self, request: Received) -> Reply:
        """What the server itself says; a subclass has rules of its own."""
        del request
        return Reply()

    def page(self, request: Received) -> Reply | None:
        """What people look at, at any time: it takes no reply from the script and is not remembered; None: no page."""
        del request
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP is refused."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        async with Exchange(scope, receive, send, self.tally) as exchange:
            request = await _read(exchange)
            if (page := self.page(request)) is not None:
                await exchange.answer(page.status, page.body, page.headers)
                return
            self.received.append(request)
            self.count += 1
            reply = self._reply(request)
            if not reply.after or await exchange.pause(reply.after):
                await exchange.answer(reply.status, reply.body, reply.headers)

    def _reply(self, request: Received) -> Reply:
        if self._queued:
            return self._queued.popleft()
        return self.always or self.answer(request)


async def _read(exchange: Exchange) -> Received:
    pieces: list[bytes] = []
    size = 0
    async for piece in exchange.body():
        size += len(piece)
        if size <= LARGEST:
            pieces.append(piece)
    query = f"?{exchange.query_string.decode('latin-1')}" if exchange.query_string else ""
    return Received(
        exchange.method,
        exchange.raw_path.decode("latin-1") + query,
        {name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.headers},
        b"".join(pieces),
        time.monotonic(),
    )


def pick(value: Any, *path: str | int) -> Any:
    """What lies at a path in JSON; None where there is nothing."""
    steps: Sequence[str | int] = path
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
