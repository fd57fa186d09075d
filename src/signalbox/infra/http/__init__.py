"""The seam to other people's servers: every call that leaves the hub goes through an ``HttpClient``.

The client sends what it is given and passes on what it gets: it adds no header but ``host`` and the framing of
the body, decodes no body, follows no redirect, keeps no cookie.
"""

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from signalbox.core.errors import InvalidError, SignalboxError

Headers = Sequence[tuple[bytes, bytes]]


class HttpClientError(SignalboxError):
    """A call got no whole answer."""

    code = "http_client_error"


class ConnectError(HttpClientError):
    """No connection: name unknown, refused, TLS not agreed, or no free one in time. Nothing was sent."""

    code = "connect_failed"


class ConnectionsBusyError(ConnectError):
    """All connections to the server that may be open at once carry calls."""

    code = "connections_busy"


class TooLateError(ConnectError):
    """There was no connection before the moment up to which the request might be sent; nothing was sent."""

    code = "too_late"


class ConnectionBrokenError(HttpClientError):
    """The server closed the connection before its answer was whole."""

    code = "connection_broken"


class InvalidResponseError(HttpClientError):
    """What the server sent is not HTTP."""

    code = "invalid_response"


class ResponseTimeoutError(HttpClientError):
    """The server did not go on in time."""

    code = "response_timeout"


class ConnectTimeoutError(ConnectError, ResponseTimeoutError):
    """No connection in time; nothing was sent."""

    code = "connect_timeout"


@dataclass(frozen=True)
class Origin:
    """Where a connection goes to."""

    scheme: str
    host: str
    port: int
    address: str | None = None
    """IP address to connect to, which was checked before; None: what the name of the host stands for by then."""

    @functools.cached_property
    def key(self) -> str:
        """The origin as text, quicker to look up than the origin itself."""
        pin = "" if self.address is None else f"@{self.address}"
        return f"{self.scheme}://{self.host}:{self.port}{pin}"

    def pinned(self, address: str) -> "Origin":
        """The same origin, reached at this IP address; certificates and the ``host`` header still name the host."""
        return replace(self, address=address)

    @functools.cached_property
    def authority(self) -> bytes:
        """The value of the ``host`` header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}[self.scheme]
        return (host if self.port == default else f"{host}:{self.port}").encode()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; ``read`` is the longest silence of the server, ``total`` bounds the whole call (None: unbounded)."""

    connect: float = 5.0
    read: float = 60.0
    total: float | None = None


class Request(NamedTuple):
    """One call.

    ``target`` is the path and query exactly as sent. ``headers`` hold no ``host``, ``content-length`` or
    ``transfer-encoding``: these follow from ``origin``, ``body`` and ``content_length``. A streamed body without
    ``content_length`` is sent chunked.
    """

    origin: Origin
    method: bytes
    target: bytes
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] = b""
    content_length: int | None = None
    timeouts: Timeouts = Timeouts()
    upgrade: bytes = b""
    """The protocol to change to, such as ``websocket``: the answer may then be 101, and its connection detached."""
    send_by: float | None = None
    """Moment of the event loop's clock from which on it is not sent any more. It is sent once: a kept connection that
    turns out to be closed is then not replaced, for the server may have counted the call."""


class Detached(NamedTuple):
    """A connection that changed to another protocol. Its reading is paused; whoever takes it sets a protocol."""

    transport: asyncio.Transport
    early: bytes
    """What has come behind the head of the answer already."""


class Response(Protocol):
    """An answer whose head has arrived."""

    @property
    def status(self) -> int:
        """The status code, 200 to 599; 101 only where the request asked for an upgrade."""
        ...

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """As received, names in lower case; repeated ones stay repeated."""
        ...

    def whole(self) -> bytes | None:
        """The body, where all of it came with the head; else None and ``read`` brings it piece by piece."""
        ...

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end.

        Raises:
            HttpClientError: the answer stopped before its end.
        """
        ...

    def detach(self) -> Detached:
        """Take the connection of an answer with 101 over; it is the caller's from then on."""
        ...

    def close(self) -> None:
        """Give up what has not been read; the connection is dropped unless the answer was whole."""
        ...


class Whole(NamedTuple):
    """An answer all of which has arrived."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Begun(Protocol):
    """A call that was sent and whose answer is awaited."""

    status: int
    """The status code; 0 before the head of the answer has arrived."""

    def take(self) -> Whole | None:
        """The answer, where all of it has arrived: the call has then ended. Else None."""
        ...


class HttpClient(Protocol):
    """Sends calls and keeps connections for the next ones."""

    def send(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Send a call and wait for the head of its answer.

        Raises:
            HttpClientError: one of its kinds above.
        """
        ...

    def begin(self, request: Request, on_news: Callable[[], None]) -> Begun | None:
        """Send a call at once, where that needs no waiting; its body must be at hand. None where nothing was done.

        ``on_news`` is called once: when the answer has come, or some of it, or has failed. Then either ``Begun.take``
        ends the call, or ``follow`` does.
        """
        ...

    def follow(self, begun: Begun, request: Request) -> Coroutine[Any, Any, Response]:
        """Wait for the head of the answer to a call that was begun; else as ``send``."""
        ...

    async def close(self) -> None:
        """Drop every connection."""
        ...


def parse_origin(url: str) -> tuple[Origin, bytes]:
    """Where an ``http`` or ``https`` address points to, and its path without a slash at the end.

    Raises:
        InvalidError: the address has another scheme, no host, or parts that do not belong there.
    """
    if not re.fullmatch(r"[!-~]*", url):
        msg = "an address is written in ASCII without spaces; other characters percent-encoded, names as xn--..."
        raise InvalidError(msg)
    try:
        parts = urlsplit(url)
        usual = {"http": 80, "https": 443}.get(parts.scheme)
        port = usual if parts.port is None else parts.port
    except ValueError as error:
        msg = f"this is not an address: {error}"
        raise InvalidError(msg) from error
    if not usual or not port or not parts.hostname:
        msg = "an address starts with http:// or https:// and names a host, such as https://api.example.com"
        raise InvalidError(msg)
    if "@" in parts.netloc or parts.query or parts.fragment:
        msg = "an address here has no user, password, query or fragment"
        raise InvalidError(msg)
    return Origin(parts.scheme, parts.hostname, port), parts.path.rstrip("/").encode()


async def read_all(response: Response, limit: int = 16 * 1024 * 1024) -> bytes:
    """The whole body of an answer, of at most ``limit`` bytes.

    Raises:
        HttpClientError: the answer stopped before its end, or is larger than ``limit``.
    """
    body = response.whole()
    if body is not None:
        return body
    pieces: list[bytes] = []
    size = 0
    while piece := await response.read():
        size += len(piece)
        if size > limit:
            response.close()
            msg = f"the answer is larger than {limit} bytes"
            raise InvalidResponseError(msg)
        pieces.append(piece)
    return b"".join(pieces)
