"""One HTTP/1.1 connection to a server, as an asyncio protocol (RFC 9112).

httptools (llhttp) parses in its strict mode: an answer with an invalid Content-Length, with both
Content-Length and Transfer-Encoding, or with control characters in a header is refused.
"""

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import httptools

from signalbox.infra.http import (
    ConnectionBrokenError,
    Detached,
    HttpClientError,
    InvalidResponseError,
    Request,
    ResponseTimeoutError,
    Whole,
)
from signalbox.infra.http.corked import CorkedTransport, WriteBatch

HIGH_WATER = 256 * 1024
LOW_WATER = 64 * 1024
MAX_HEAD = 64 * 1024

_BODILESS = frozenset({b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE"})
"""Methods of which a request without a body needs no Content-Length: 0 (RFC 9110, 8.6)."""

_SWITCHING_PROTOCOLS = 101
_MIN_STATUS, _FINAL, _MAX_STATUS = 100, 200, 599


_new_whole: Callable[[tuple[Any, ...]], Whole] = functools.partial(tuple.__new__, Whole)
"""Without the handling of keywords, which takes longer than the rest of making one."""


class _HeadOnlyError(Exception):
    """Stops the parser behind the head of an answer to HEAD, which has no body whatever its headers say."""


class Connection(asyncio.Protocol):
    """Carries one call at a time; ``on_idle`` is told when it may carry another, ``on_lost`` when it is gone.

    What is small goes out together with what other connections of ``writes`` have to say in the same turn.
    """

    def __init__(
        self, on_idle: Callable[["Connection"], None], on_lost: Callable[["Connection"], None], writes: WriteBatch
    ) -> None:
        self.transport: asyncio.Transport
        self.deadline = float("inf")
        """When the call has failed (seconds of the loop's clock); the client's sweep compares it."""
        self.reused = False
        self.got_bytes = False
        self.idle_since = 0
        """Sweep since which the connection waits for its next call."""
        self._on_idle, self._on_lost, self._writes = on_idle, on_lost, writes
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpResponseParser(self)
        self._busy = False
        self._closed = False
        self._writable: asyncio.Event | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._on_news: Callable[[], None] | None = None
        self._pieces: deque[bytes] = deque()
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._head_done = False
        self._complete = False
        self._keep_alive = False
        self._error: HttpClientError | None = None
        if self._pieces:
            self._pieces = deque()
        self._buffered = 0
        self._reading_paused = False
        self._received = 0  # bytes since the last piece of a body: of a head, of what stands around chunks
        self._upload: asyncio.Task[None] | None = None
        self._early = b""

    # -- the call -----------------------------------------------------------------------------------------------

    async def exchange(self, request: Request, *, expires: float) -> "Answer":
        """Send a call and wait for the head of its answer; ``expires`` is its last moment on the loop's clock."""
        self.begin(request, expires=expires)
        return await self.head()

    def begin(self, request: Request, *, expires: float, on_news: Callable[[], None] | None = None) -> None:
        """Send a call; ``on_news`` is called once, when something of its answer has come, or it has failed."""
        self._reset()
        self._on_news = on_news
        self._busy = True
        self.got_bytes = False
        self._head_only = request.method == b"HEAD"
        self._upgrade = request.upgrade
        self._read_timeout, self.expires = request.timeouts.read, expires
        body = request.body
        if isinstance(body, bytes):
            self.transport.write(_encode_head(request, len(body)) + body)
        else:
            self.transport.write(_encode_head(request, request.content_length))
            self._upload = asyncio.create_task(self._send_body(body, request.content_length))
        self._touch()

    async def head(self) -> "Answer":
        """Wait for the head of the answer to the call that was begun."""
        self._on_news = None
        try:
            while not self._head_done:
                self._check()
                self._waiter = self._loop.create_future()
                await self._waiter
            if not self._pieces:
                self._check()
        except BaseException:
            self.abort()
            raise
        return Answer(self)

    async def _send_body(self, body: Any, length: int | None) -> None:
        """Stream a request body. Waiting for the caller's next piece does not count as the server's silence."""
        sent = 0
        try:
            while True:
                self.deadline = self.expires
                piece = await anext(body, None)
                self._touch()
                if piece is None or self._closed:
                    break
                sent += len(piece)
                _check_length(sent, length, whole=False)
                if piece:
                    self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if length is None else piece)
                if self._writable is not None:
                    await self._writable.wait()
            if not self._closed:
                _check_length(sent, length, whole=True)
                self.transport.write(b"0\r\n\r\n" if length is None else b"")
        except Exception as error:  # noqa: BLE001 - the body's own failure ends the call
            self._fail(_of_body(error))

    async def next_piece(self) -> bytes:
        """The next piece of the body; empty at its end."""
        while not self._pieces:
            if self._complete:
                return b""
            await self._wait()
        piece = self._pieces.popleft()
        self._buffered -= len(piece)
        if self._reading_paused and self._buffered <= LOW_WATER and not self._closed:
            self._reading_paused = False
            self._touch()
            self.transport.resume_reading()
        return piece

    def take(self) -> Whole | None:
        """The answer if it has arrived completely; the call has then ended."""
        if not self._complete:
            return None
        pieces = self._pieces
        body = pieces.popleft() if len(pieces) == 1 else self.take_whole()
        whole = _new_whole((self.status, self.headers, body))
        self.release()
        return whole

    def take_whole(self) -> bytes | None:
        """The body if it has arrived completely."""
        if not self._complete:
            return None
        pieces = self._pieces
        if len(pieces) == 1:
            return pieces.popleft()
        self._pieces = deque()
        return b"".join(pieces)

    def release(self) -> None:
        """End the call: keep the connection where the answer was whole and both sides agree, else drop it."""
        if not self._busy:
            return
        self._busy = False
        self.deadline = float("inf")
        uploading = self._upload is not None and not self._upload.done()
        if self._complete and self._keep_alive and not uploading and not self._closed:
            self._on_idle(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once; whoever waits for its answer is told."""
        self._busy = False
        if self._upload is not None:
            self._upload.cancel()
        self._fail(ConnectionBrokenError("the connection was dropped"))

    def detach(self) -> Detached:
        """Hand the connection over, after an answer with 101."""
        self._busy = False
        self.deadline = float("inf")
        self.give_up()
        return Detached(self.transport, self._early)

    def give_up(self) -> None:
        """Count as lost: connecting failed, and the event loop closes the transport if there is one, or handed over."""
        self._parser = None  # it holds this connection
        if not self._closed:
            self._closed = True
            self._on_lost(self)

    @property
    def is_closed(self) -> bool:
        """Whether no further call can be carried."""
        return self._closed

    def expire(self) -> None:
        """Fail the call because the server did not go on in time."""
        stage = "an answer" if not self._head_done else "the rest of the answer"
        self._fail(ResponseTimeoutError(f"the server did not send {stage} in time"))

    def _check(self) -> None:
        if self._error is not None:
            raise self._take_error()

    def _take_error(self) -> HttpClientError:
        """What the call failed of, once.

        It is not kept: the frames that it passes hold the connection and what it received, and would all stay until the
        garbage collector finds them.
        """
        error, self._error = self._error, None
        return error or ConnectionBrokenError("the connection was dropped")

    # -- waiting ------------------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        if self._closed:
            raise self._take_error()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if not self._pieces:
            self._check()

    def _wake(self) -> None:
        if self._on_news is not None:
            tell, self._on_news = self._on_news, None
            tell()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _until_eof(self) -> bool:
        """Whether the end of the connection is the end of the answer (RFC 9112, 6.3)."""
        return not any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    def _touch(self) -> None:
        self.deadline = min(self._loop.time() + self._read_timeout, self.expires)

    def _fail(self, error: HttpClientError) -> None:
        if not self._closed:
            self._closed = True
            if not self._complete:
                self._error = error
            self.transport.abort()
            self._on_lost(self)
        self._wake()

    # -- asyncio.Protocol ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self.transport = CorkedTransport(cast("asyncio.Transport", transport), self._writes)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived and wake whoever waits for it."""
        if not self._busy:
            self.abort()
            return
        self.got_bytes = True
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._early = data[upgrade.args[0] :]
            self.transport.pause_reading()
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _HeadOnlyError):
                self._fail(InvalidResponseError(f"the server's answer is not valid HTTP: {error.__context__ or error}"))
                return
            self._parser = httptools.HttpResponseParser(self)
            if not data.endswith(b"\r\n\r\n"):  # a body all the same: what follows it is not the next answer
                self._keep_alive = False
        except httptools.HttpParserError as error:
            self._fail(InvalidResponseError(f"the server's answer is not valid HTTP: {error}"))
            return
        if self._complete:
            self._wake()
        elif self._received > MAX_HEAD:
            self._fail(InvalidResponseError(f"the server sent {MAX_HEAD} bytes that belong to no body"))
        elif self._head_done:
            self._wake()
            self._hold_back()
        else:
            self._touch()

    def _hold_back(self) -> None:
        """Read no more while the caller has enough to do with what came."""
        if self._reading_paused:
            return
        if self._buffered > HIGH_WATER:
            self._reading_paused = True
            self.deadline = self.expires
            self.transport.pause_reading()
        else:
            self._touch()

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer without a length ends here; any other is broken."""
        was_closed, self._closed = self._closed, True
        self._parser = None  # it holds this connection
        if self._writable is not None:
            self._writable.set()
        if self._busy and not self._complete:
            if self._head_done and self._until_eof() and exc is None and self._error is None:
                self._complete = True
            elif self._error is None:
                self._error = ConnectionBrokenError("the server closed the connection before its answer was whole")
        self._wake()
        if not was_closed:
            self._on_lost(self)

    def pause_writing(self) -> None:
        """The server reads slower than we send."""
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """The server has caught up."""
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # -- httptools callbacks ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Called at the first byte of an answer."""
        if self._complete:
            msg = "a second answer to one request"
            raise ValueError(msg)
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header; trailers, which come behind the body, are no headers (RFC 9110, 6.5.1)."""
        if not self._head_done:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Take the status; interim answers (1xx) are passed over."""
        self.status = self._parser.get_status_code()
        switches = self.status == _SWITCHING_PROTOCOLS
        if (switches and not self._was_asked_for()) or not _MIN_STATUS <= self.status <= _MAX_STATUS:
            msg = f"status {self.status}"
            raise ValueError(msg)
        if self.status < _FINAL and not switches:
            return
        self._head_done = True
        if self._head_only:
            self.on_message_complete()
            raise _HeadOnlyError

    def _was_asked_for(self) -> bool:
        """Whether the server changes to the protocol that it was asked to change to."""
        to = [value.strip().lower() for name, value in self.headers if name == b"upgrade"]
        return to == [self._upgrade] and self._parser.should_upgrade()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._pieces.append(body)
        self._buffered += len(body)
        self._received = 0

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if not self._head_done:  # that of an interim answer
            return
        self._keep_alive = self.status != _SWITCHING_PROTOCOLS and self._parser.should_keep_alive()
        self._complete = True


class Answer:
    """The ``Response`` of a connection."""

    __slots__ = ("_connection", "headers", "status")

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self.status = connection.status
        self.headers = connection.headers

    def whole(self) -> bytes | None:
        """The body, where all of it has come; the connection is free from then on."""
        connection = self._connection
        body = None if connection is None else connection.take_whole()
        if body is not None:
            self.close()
        return body

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end."""
        if self._connection is None:
            return b""
        piece = await self._connection.next_piece()
        if not piece:
            self.close()
        return piece

    def detach(self) -> Detached:
        """Take the connection over, after an answer with 101."""
        connection, self._connection = self._connection, None
        if connection is None or connection.status != _SWITCHING_PROTOCOLS:
            msg = "only a connection that changed to another protocol can be taken over"
            raise RuntimeError(msg)
        return connection.detach()

    def close(self) -> None:
        """Hand the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()


def _of_body(error: Exception) -> HttpClientError:
    """The failure of a call whose request body failed with ``error``."""
    if isinstance(error, HttpClientError):
        return error
    broken = ConnectionBrokenError("the request body broke off")
    broken.__cause__ = error
    return broken


def _check_length(sent: int, length: int | None, *, whole: bool) -> None:
    """What is sent beyond the length would be taken for the next request, what is missing awaited for ever."""
    if length is not None and (sent > length or (whole and sent < length)):
        msg = f"the request body has {sent} bytes{'' if whole else ' or more'} instead of {length}"
        raise ConnectionBrokenError(msg)


def _encode_head(request: Request, length: int | None) -> bytes:
    method = request.method
    lines = [b"".join((method, b" ", request.target, b" HTTP/1.1\r\nhost: ", request.origin.authority))]
    lines += map(b": ".join, request.headers)
    if request.upgrade:
        lines.append(b"connection: upgrade\r\nupgrade: " + request.upgrade)
    if length is None:
        lines.append(b"transfer-encoding: chunked")
    elif length or method not in _BODILESS:
        lines.append(b"content-length: %d" % length)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)
