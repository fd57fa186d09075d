"""uvicorn's HTTP/1.1 protocol, made fit for a server in front of other servers."""

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from signalbox.core.asgi import EMPTY_QUERY

MAX_HEAD = 64 * 1024
"""Bytes of a request's line and headers, and of its trailers."""


class HttpProtocol(HttpToolsProtocol):
    """Differs from uvicorn's in what it does with requests that an HTTP library seldom sends, and an attacker may.

    - An offer to upgrade (``Upgrade: h2c``, which Java's client makes with every request) is passed over, as RFC 9110,
      7.8 allows: uvicorn then loses the request's body and never answers the connection's next request.
    - A head over ``MAX_HEAD`` is refused with 431: uvicorn keeps whatever comes.
    - A target with a fragment is refused (RFC 9112, 3.2), and an empty query told from none.
    """

    _in_head = True
    _head_size = 0

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, b"Invalid HTTP request received.")
        else:
            if self._in_head:
                self._count(len(data))

    def on_message_begin(self) -> None:
        """A new request."""
        super().on_message_begin()
        self._in_head = True
        self._head_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; trailers, which ASGI does not carry, are dropped."""
        if self._in_head:
            super().on_header(name, value)
            return
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:
            msg = f"trailers over {MAX_HEAD} bytes"
            raise ValueError(msg)

    def on_headers_complete(self) -> None:
        """Serve the request, unless its head is to be read again without the offer to upgrade."""
        self._in_head = False
        self._head_size = 0
        if self.parser.should_upgrade():
            return
        if b"#" in self.url:
            msg = "a fragment in a request"
            raise ValueError(msg)
        super().on_headers_complete()
        if self.url.endswith(b"?") and not self.scope["query_string"]:
            self.scope["extensions"] = {EMPTY_QUERY: {}}

    def on_message_complete(self) -> None:
        """The request is whole."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

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

    def _refuse(self, status: int, reason: bytes) -> None:
        cycle = self.cycle
        answering = bool(self.pipeline) or (cycle and cycle.response_started and not cycle.response_complete)
        if answering:  # another word would become part of the answer under way
            self.transport.abort()
            return
        fields = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + fields % len(reason) + reason)
        self.transport.close()
