"""uvicorn's HTTP/1.1 protocol, made fit for a server in front of other servers."""

import asyncio
import math
import select
import socket
import struct
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from signalbox.core.asgi import DROP_IF_GONE, EMPTY_QUERY

MAX_HEAD = 64 * 1024
"""Bytes of a request's line and headers, and of its trailers."""

MAX_UNWANTED = 64 * 1024 * 1024
"""Bytes of a request body that are read and dropped once its answer is complete. To close at once would lose the
answer for clients that first send and then read; to read without end would let them waste the line."""

_GONE = select.POLLERR | select.POLLHUP | getattr(select, "POLLRDHUP", 0)

JOINED = 64 * 1024
"""Bodies up to this are written together with the head: a system call is a tenth of what a small answer costs."""

_BODILESS = frozenset({204, 304})


class Cycle(RequestResponseCycle):
    """One request and its answer. Writes answers quicker than uvicorn, and for HTTP/1.0 clients as they understand.

    The head is held until the first piece of the body, as ASGI allows.
    """

    _head = b""
    _until_close = False

    async def send(self, message: Any) -> None:
        """Take a part of the answer, as soon as the client has taken those before."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.response_started and not self.response_complete:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start" and not self.response_started:
            self._head = self._encode_head(message["status"], message.get("headers", ()))
            self.response_started = True
            self.waiting_for_100_continue = False
        else:
            msg = f"the application sent {kind!r} out of turn"
            raise RuntimeError(msg)

    def _encode_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        lines = [STATUS_LINE[status]]
        for name, value in headers:
            lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _BODILESS:
            self._frame(lines)
        if not self.keep_alive and b"connection: close\r\n" not in lines:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
            msg = "a header of the answer holds a line end or NUL"
            raise RuntimeError(msg)
        return head + b"\r\n"

    def _frame(self, lines: list[bytes]) -> None:
        """A body of unknown length: in chunks, for HTTP/1.0 up to the end of the connection (RFC 9112, 6.3)."""
        if self.scope["http_version"] == "1.1":
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            self._until_close = True
            self.keep_alive = False
            self._reset_on_close(on=True)  # only the last piece makes the end of the connection that of the answer

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body, self.expected_content_length = b"", 0
        elif self.chunked_encoding:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        elif not self._until_close:
            self.expected_content_length -= len(body)
        if self.expected_content_length < 0 or (self.expected_content_length and not more):
            msg = "the body of the answer is not as long as its Content-Length"
            raise RuntimeError(msg)
        self._write(body)
        if not more:
            self._end()

    def _write(self, data: bytes) -> None:
        head, self._head = self._head, b""
        if head and len(data) > JOINED:
            self.transport.write(head)
            head = b""
        if head or data:
            self.transport.write(head + data if head else data)

    def _reset_on_close(self, *, on: bool) -> None:
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))

    def _end(self) -> None:
        if self._until_close:
            self._reset_on_close(on=False)
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class HttpProtocol(HttpToolsProtocol):
    """Differs from uvicorn's in what it does with requests that an HTTP library seldom sends, and an attacker may.

    - An offer to upgrade (``Upgrade: h2c``, which Java's client makes with every request) is passed over, as RFC 9110,
      7.8 allows: uvicorn then loses the request's body and never answers the connection's next request.
    - A head over ``MAX_HEAD`` is refused with 431: uvicorn keeps whatever comes.
    - A target with a fragment is refused (RFC 9112, 3.2), and an empty query told from none.
    - A body that nobody wants any more is read up to ``MAX_UNWANTED``: uvicorn reads whatever comes.
    - How long a connection waits for a request's head is noted, for a sweep to end it (``expire``): uvicorn sets a
      timer after each answer, which costs as much as writing it, and none before the first request.
    """

    waiting_since = math.inf
    """Since when no request is under way and no head complete, on the loop's clock; infinite while one is."""

    _in_head = True
    _head_size = 0
    """Bytes since the last that were a body or ended a part: of a head, of trailers, of a chunk's extensions."""
    _moved = False
    _unwanted = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection over."""
        super().connection_made(transport)
        self.waiting_since = self.loop.time()

    def expire(self, *, before: float) -> None:
        """Close the connection if it has waited for a head since before that moment."""
        if self.waiting_since < before:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Serve the next request that waits, else wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self.waiting_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        self._moved = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, b"Invalid HTTP request received.")
        else:
            if not self._moved:
                self._count(len(data))

    def on_message_begin(self) -> None:
        """A new request."""
        super().on_message_begin()
        self._in_head = True
        self._head_size = self._unwanted = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; trailers, which ASGI does not carry, are dropped."""
        if self._in_head:  # as uvicorn does, here for speed: this runs for every header
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
            return
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:
            msg = f"trailers over {MAX_HEAD} bytes"
            raise ValueError(msg)

    def on_headers_complete(self) -> None:
        """Serve the request, unless its head is to be read again without the offer to upgrade."""
        self._in_head = False
        self.waiting_since = math.inf
        self._progress()
        if self.parser.should_upgrade():
            return
        if b"#" in self.url:
            msg = "a fragment in a request"
            raise ValueError(msg)
        self._complete_scope()
        self._serve()

    def _complete_scope(self) -> None:
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        version = self.parser.get_http_version()
        if version != "1.1":
            scope["http_version"] = version
        scope["method"] = self.parser.get_method().decode("ascii")
        if self.url.startswith(b"/"):
            raw_path, mark, query = self.url.partition(b"?")
        else:  # an absolute target: its host is not looked at
            parsed = httptools.parse_url(self.url)
            raw_path, mark, query = parsed.path or b"/", b"", parsed.query or b""
        path = raw_path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"], scope["query_string"] = raw_path, query
        extensions: dict[str, Any] = {DROP_IF_GONE: self._drop_if_gone}
        scope["extensions"] = extensions
        if mark and not query:
            extensions[EMPTY_QUERY] = None

    def _serve(self) -> None:
        """Start the application, or let a pipelined request wait for its turn."""
        before = self._current()
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.scope["http_version"] == "1.1" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """A piece of the request body."""
        self._progress()
        if not self.cycle.response_complete:
            super().on_body(body)
            return
        self._unwanted += len(body)
        if self._unwanted > MAX_UNWANTED:
            self.transport.abort()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._progress()
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _drop_if_gone(self) -> bool:
        sock = self.transport.get_extra_info("socket")
        if sock is None or self.transport.is_closing():
            return True
        poll = select.poll()
        poll.register(sock.fileno(), _GONE)
        gone = bool(poll.poll(0))
        if gone:
            self.transport.abort()
        return gone

    def _progress(self) -> None:
        self._moved = True
        self._head_size = 0

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD and not self.transport.is_closing():
            self._refuse(431, b"The head of the request is too large.")

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Read the request's head again without what makes the parser stop behind it."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(400, b"This server is no proxy to other hosts.")
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                options = [option for option in value.split(b",") if option.strip().lower() != b"upgrade"]
                lines.append(b"connection: " + b",".join(options))
            elif name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"\r\n".join([*lines, b"\r\n"]) + rest)

    def _current(self) -> RequestResponseCycle | None:
        """The newest request; None before the first, of which uvicorn's types do not know."""
        return self.cycle

    def _refuse(self, status: int, reason: bytes) -> None:
        cycle = self._current()
        read = cycle is not None and (cycle.response_started or not cycle.more_body)
        answering = cycle is not None and read and not cycle.response_complete
        if answering or self.pipeline:  # another word would become part of the answer under way
            self.transport.abort()
            return
        fields = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + fields % len(reason) + reason)
        self.transport.close()
