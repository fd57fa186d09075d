"""One HTTP/1.1 request and its answer, as the ASGI application of a connection sees them (RFC 9112)."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus

from signalbox.app.ending import reset_on_close
from signalbox.core.asgi import WHOLE_ANSWER, AsgiApp, Begin, Headers, Message, Receive, Scope, Send

JOINED = 64 * 1024
"""Bodies up to this are written together with the head: a system call is a tenth of what a small answer costs."""

HIGH_WATER = 64 * 1024
"""Bytes of a request body that wait for the application before no more are read."""

SWITCHING_PROTOCOLS = 101
_FRAMING = frozenset({b"content-length", b"connection"})
_BODILESS = frozenset({SWITCHING_PROTOCOLS, 204, 304})

_log = logging.getLogger(__name__)


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}".encode()


STATUS_LINES = {status: _status_line(status) for status in range(100, 600)}


class Flow:
    """Whether a connection takes more of an answer, and gives more of a request, at this moment."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.write_paused = self.read_paused = False
        self.took = False
        """Whether the client has caught up since somebody last looked."""
        self._writable = asyncio.Event()

    async def drain(self) -> None:
        """Wait until the client has taken what was written."""
        await self._writable.wait()

    def pause_writing(self) -> None:
        """The client takes an answer slower than it comes."""
        self.write_paused = True
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up, or is gone."""
        self.took = True
        self.write_paused = False
        self._writable.set()

    def pause_reading(self) -> None:
        """Take no more from the client for now."""
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()


class Cycle:
    """One request and its answer.

    The head of the answer is held until the first piece of its body, as ASGI allows. What is the same at the start
    of every cycle stands in the class: to set it for each costs more than it tells.
    """

    body = b""
    """What has come of the request body and was not asked for yet."""
    more_body = True
    keep_alive = True
    """Whether the connection may carry another request."""
    expects_continue = False
    """Whether the client waits to be asked for its body."""
    disconnected = False
    response_started = False
    response_complete = False

    _head = b""
    _until_close = False
    _chunked: bool | None = None
    """Whether the answer goes out in chunks; None until it is known."""
    _left = 0
    """Bytes of the answer that its Content-Length still promises."""
    _news = False
    _event: asyncio.Event | None = None

    def __init__(self, scope: Scope, flow: Flow, on_response: Callable[["Cycle"], None]) -> None:
        self.scope, self._flow, self._on_response = scope, flow, on_response

    def start(self, app: AsgiApp, loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[None]]) -> None:
        """Begin to answer, without a task where the application can; ``tasks`` holds the task while it runs."""
        self._loop, self._tasks = loop, tasks
        begin: Begin | None = getattr(app, "begin", None)
        if begin is None or self._flow.write_paused:  # who answers without a task does not wait for the client
            self.run(app)
            return
        try:
            if not begin(self.scope, self):
                self.run(app)
        except Exception:  # noqa: BLE001 - as in a task
            self.fail()

    def run(self, app: AsgiApp) -> None:
        """Answer by a task."""
        self._task = self._loop.create_task(self._run(app))
        self._tasks.add(self._task)

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer at once; see ``Turn``."""
        if self.disconnected:
            return
        try:
            self._begin(status, headers)
            if self.scope["method"] == "GET" and self._left == len(body) <= JOINED and self._chunked is False:
                head, self._head, self._left = self._head, b"", 0
                self._flow.transport.write(head + body)
                self._end()
            else:
                self._send_body(body, more=False)
        except Exception:  # noqa: BLE001 - as in a task
            self.fail()

    def fail(self) -> None:
        """Log the exception that is being handled, and end as when an application leaves its answer undone."""
        _log.exception("a request failed", extra={"path": self.scope["path"]})
        self.run(_leave_undone)

    async def _run(self, app: AsgiApp) -> None:
        """Let the application answer. What it leaves undone is a fault of ours: the client is told, or dropped."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - whatever it was, the client is not left waiting
            _log.exception("a request failed", extra={"path": self.scope["path"]})
            await self._give_up()
        except BaseException:
            self._flow.transport.close()
            raise
        else:
            if not self.response_complete and not self.disconnected:
                await self._give_up()
        finally:
            self._tasks.discard(self._task)

    async def _give_up(self) -> None:
        if self.response_started:
            self._flow.transport.close()
            return
        text = b"Internal Server Error"
        fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text)), (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": 500, "headers": fields})
        await self.send({"type": "http.response.body", "body": text})

    @property
    def waits_for_body(self) -> bool:
        """Whether it is the client's turn to send more of the request body."""
        return self.more_body and not self.response_complete and not self.expects_continue

    # -- the request ------------------------------------------------------------------------------------------------

    def add_body(self, piece: bytes) -> None:
        """Keep a piece of the request body for the application."""
        self.body = self.body + piece if self.body else piece
        if len(self.body) > HIGH_WATER:
            self._flow.pause_reading()
        self.notify()

    def notify(self) -> None:
        """Tell whoever waits that there is more of the request, or that no more will come."""
        self._news = True
        if self._event is not None:
            self._event.set()

    def drop(self) -> None:
        """Tell the application that nobody waits for its answer any more."""
        self.disconnected = not self.response_complete
        self.notify()

    async def receive(self) -> Message:
        """The next part of the request body; ``http.disconnect`` where the client left, or has its answer."""
        if self.expects_continue and not self._flow.transport.is_closing():
            self._flow.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.expects_continue = False
        if not self.disconnected and not self.response_complete:
            self._flow.resume_reading()
            await self._wait_for_news()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def _wait_for_news(self) -> None:
        if not self._news:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()
        self._news = False
        if self._event is not None:
            self._event.clear()

    # -- the answer -------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Take a part of the answer, as soon as the client has taken those before."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
            self._drop_if_broken()
        if self.disconnected:
            await asyncio.sleep(0)  # an application that only sends would let nobody else have a turn
            return
        kind = message["type"]
        if kind == "http.response.body" and self.response_started and not self.response_complete:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == WHOLE_ANSWER and not self.response_started:
            self._begin(message["status"], message["headers"])
            self._send_body(message["body"], more=False)
        elif kind == "http.response.start" and not self.response_started:
            self._begin(message["status"], message.get("headers", ()))
        else:
            msg = f"the application sent {kind!r} out of turn"
            raise RuntimeError(msg)

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if self.expects_continue:  # never asked for its body, the client may send it all the same, or the next request
            self.expects_continue = self.keep_alive = False
        self._head = self._encode_head(status, headers)
        self.response_started = True

    def take_over(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Answer with 101; what follows on the connection is not this request's any more."""
        self.keep_alive = True
        self._head = self._encode_head(SWITCHING_PROTOCOLS, headers)
        self.response_started = self.response_complete = True
        if not self._flow.transport.is_closing():
            self._write(b"")

    def _encode_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        lines = [STATUS_LINES[status]]
        for header in headers:
            if header[0] in _FRAMING:
                if header[0] == b"content-length":
                    self._left = int(header[1])
                    self._chunked = False
                elif header[1] == b"close":
                    self.keep_alive = False
                    continue
            lines.append(b": ".join(header))
        if self._chunked is None and self.scope["method"] != "HEAD" and status not in _BODILESS:
            self._frame(lines)
        if not self.keep_alive:
            lines.append(b"connection: close")
        head = b"\r\n".join(lines)
        if head.count(b"\n") >= len(lines) or head.count(b"\r") >= len(lines) or 0 in head:
            msg = "a header of the answer holds a line end or NUL"
            raise RuntimeError(msg)
        return head + b"\r\n\r\n"

    def _frame(self, lines: list[bytes]) -> None:
        """A body of unknown length: in chunks, for HTTP/1.0 up to the end of the connection (RFC 9112, 6.3)."""
        if self.scope["http_version"] == "1.1":
            self._chunked = True
            lines.append(b"transfer-encoding: chunked")
        else:
            self._until_close = True
            self.keep_alive = False
            reset_on_close(
                self._flow.transport, on=True
            )  # only the last piece makes the end of the connection that of the answer

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body, self._left = b"", 0
        elif self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        elif not self._until_close:
            self._left -= len(body)
        if self._left < 0 or (self._left and not more):
            msg = "the body of the answer is not as long as its Content-Length"
            raise RuntimeError(msg)
        self._write(body)
        if more:
            self._drop_if_broken()
        else:
            self._end()

    def _drop_if_broken(self) -> None:
        """An application that only sends would never let the loop tell that the connection is gone."""
        if self._flow.transport.is_closing():
            self.drop()

    def _write(self, data: bytes) -> None:
        head, self._head = self._head, b""
        if head and len(data) > JOINED:
            self._flow.transport.write(head)
            head = b""
        if head or data:
            self._flow.transport.write(head + data if head else data)

    def _end(self) -> None:
        if self._until_close:
            reset_on_close(self._flow.transport, on=False)
        self.response_complete = self._news = True
        if self._event is not None:
            self._event.set()
        self._on_response(self)


async def _leave_undone(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """An application that answers nothing."""


def head_without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """The head of a request, to be read again without what makes the parser stop behind it."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    for name, value in headers:
        if name == b"connection":
            options = [option for option in value.split(b",") if option.strip().lower() != b"upgrade"]
            lines.append(b"connection: " + b",".join(options))
        elif name != b"upgrade":
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join([*lines, b"\r\n"])
