"""The request body on its way through: small ones in one piece, others streamed."""

from collections.abc import AsyncIterator

from signalbox.core.asgi import Receive
from signalbox.core.errors import SignalboxError
from signalbox.gateway.errors import BodyTooLargeError

SMALL = 64 * 1024
"""Bodies of known length up to this are read whole before anything is sent."""


class ClientGoneError(SignalboxError):
    """The client closed the connection before its answer was whole; nobody is left to be told."""

    code = "client_gone"


class RequestBody:
    """Reads a request body and counts it.

    Raises while reading:
        ClientGoneError: the client left.
        BodyTooLargeError: the body is larger than ``limit``.
    """

    __slots__ = ("_limit", "_receive", "complete", "size")

    def __init__(self, receive: Receive, *, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self.size = 0
        self.complete = False

    async def whole(self) -> bytes:
        """All of it, in one piece."""
        pieces = [piece async for piece in self.stream()]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def stream(self) -> AsyncIterator[bytes]:
        """Piece by piece, as fast as they are taken."""
        while not self.complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                msg = "the client left before its request was whole"
                raise ClientGoneError(msg)
            piece: bytes = message.get("body", b"")
            self.complete = not message.get("more_body", False)
            self.size += len(piece)
            if self.size > self._limit:
                raise too_large(self._limit)
            if piece:
                yield piece


def too_large(limit: int) -> BodyTooLargeError:
    """The error for a body over ``limit`` bytes."""
    return BodyTooLargeError(f"the request body is larger than the {limit} bytes that this upstream takes")
