"""One HTTP request and its answer, over raw ASGI: the few verbs that the simulated upstream needs."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from starlette.types import Receive, Scope, Send

JSON_TYPE = (b"content-type", b"application/json")

DROP = "signalbox.drop"
"""The extension of the scope by which a server lets an app break the connection."""

Headers = Sequence[tuple[bytes, bytes]]


@dataclass
class Tally:
    """What an upstream has seen since it was made; body bytes only, heads not counted."""

    requests: int = 0
    aborted: int = 0
    """Answers given up because the client had gone."""
    bytes_received: int = 0
    bytes_sent: int = 0


class Exchange:
    """A request (``method``, ``segments`` of the raw path, ``headers``, ``body()``) and the means to answer it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, tally: Tally) -> None:
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.query_string: bytes = scope["query_string"]
        self.headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.segments = self.raw_path.decode("ascii", "replace").lstrip("/").split("/")
        self._receive = receive
        self._send = send
        self._tally = tally
        self._gone: asyncio.Task[None] | None = None
        self._drop = scope.get("extensions", {}).get(DROP)

    async def __aenter__(self) -> Self:
        self._tally.requests += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._gone is not None:
            self._gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._gone

    def argument(self, position: int = 1, default: int = 0) -> int:
        """Return the path segment at ``position`` as a number not below 0, else ``default``."""
        text = self.segments[position] if len(self.segments) > position else ""
        return int(text) if text.isascii() and text.isdigit() else default

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the request body piece by piece; memory does not grow with it."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return
            piece: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            self._tally.bytes_received += len(piece)
            if piece:
                yield piece

    async def start(self, status: int, headers: Headers = ()) -> None:
        """Send the status line and the headers."""
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, piece: bytes, *, more: bool = True) -> None:
        """Send a piece of the body; waits while the client reads slowly."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": more})
        self._tally.bytes_sent += len(piece)

    async def answer(self, status: int, body: bytes = b"", headers: Headers = ()) -> None:
        """Send a whole answer with its Content-Length."""
        length = [] if status in (204, 304) else [(b"content-length", b"%d" % len(body))]
        await self.start(status, [*headers, *length])
        await self.write(b"" if status in (204, 304) else body, more=False)

    async def json(self, status: int, value: object, headers: Headers = ()) -> None:
        """Send ``value`` as JSON."""
        body = json.dumps(value, separators=(",", ":")).encode()
        await self.answer(status, body, [JSON_TYPE, *headers])

    async def pause(self, seconds: float) -> bool:
        """Wait; False, at once, when the client has gone. Call it after the request body has been read."""
        if self._gone is None:
            self._gone = asyncio.create_task(self._until_gone())
        if seconds > 0:
            await asyncio.wait({self._gone}, timeout=seconds)
        else:
            await asyncio.sleep(0)
        if self._gone.done():
            self._tally.aborted += 1
            return False
        return True

    def drop(self) -> None:
        """Break the connection, whatever has been sent; on a server that offers it, as ``LoopbackServer`` does."""
        self._drop()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
