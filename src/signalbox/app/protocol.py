"""The HTTP/1.1 protocol of a connection: a server in front of other servers, run by uvicorn (RFC 9112)."""

import asyncio
import functools
import math
import select
import time
from collections import deque
from typing import Any, cast
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.server import ServerState

from signalbox.app.cycle import Cycle, Flow, head_without_upgrade
from signalbox.app.ending import MAX_UNWANTED, Deaf, Refusal, RefusedError, linger, not_taken, refusal, reset_on_close
from signalbox.app.ready import ReadyAnswers
from signalbox.core.asgi import DROP_IF_GONE, EMPTY_QUERY, TAKE_OVER, WHOLE_ANSWER, TakenOver
from signalbox.infra.http.corked import CorkedTransport, WriteBatch

MAX_HEAD = 64 * 1024
"""Bytes of a request's line and headers, and of its trailers."""

LEAST_BODY_RATE = 500
"""Bytes a second that a request body has to bring on average, once it has taken longer than ``body_timeout``."""

_GONE = select.POLLERR | select.POLLHUP | getattr(select, "POLLRDHUP", 0)

_BODY_HEADERS = frozenset({b"expect", b"transfer-encoding"})
"""Headers that say how a request's body comes."""

_ASGI = {"version": "3.0", "spec_version": "2.3"}


class HttpProtocol(asyncio.Protocol):
    """Reads requests by httptools (llhttp) in its strict mode, and serves them one after the other.

    uvicorn's own protocol does the same for an application; what this one does otherwise matters to a proxy:

    - An offer to upgrade (``Upgrade: h2c``, which Java's client makes with every request) is passed over, as RFC 9110,
      7.8 allows, without losing the request's body.
    - A head over ``MAX_HEAD`` is refused with 431, trailers and chunk extensions are bounded as well.
    - A transfer coding other than ``chunked`` is refused: its body could not be told from a plain one.
    - What cannot be parsed is refused in its turn, behind the answers to the requests before it.
    - A target with a fragment is refused (RFC 9112, 3.2), and an empty query told from none.
    - A body that nobody wants any more is read up to ``MAX_UNWANTED``.
    - A request for WebSocket may be answered by taking the connection over (``TAKE_OVER``).
    - A sweep ends connections that are idle, or whose client is too slow with a head or a body, or takes nothing of
      its answer: a timer for each answer would cost as much as writing it.
    """

    waiting_since = math.inf
    """Since when no request is under way and no head complete, on the loop's clock; infinite while one is."""

    _in_head = True
    _head_size = 0
    """Bytes since the last that were a body or ended a part: of a head, of trailers, of a chunk's extensions."""
    _arrived = 0
    """Bytes that are being parsed: a head may be among them from its beginning to its end."""
    _moved = False
    _unwanted = 0
    _expects_continue = False
    _asks_to_upgrade = False
    """Whether the newest request asks for WebSocket: what comes behind its head is not HTTP."""
    _taken_over = _refused = False
    _answered_at_once = False
    """Whether the newest request has its answer without ever having been a cycle."""
    _early = b""
    _body_size = 0
    _body_seconds = 0.0
    """How long the newest request's body has been waited for."""
    _not_taken = 0
    """Bytes that the client had not taken at the last sweep."""
    _stalled_for = 0.0
    """Seconds for which it has taken nothing of them."""
    _cycle: Cycle | None = None
    """The newest request; None before the first."""
    _before_pipeline: Cycle | Refusal | None = None
    """The request under way, where others wait behind it."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        writes: WriteBatch | None = None,
    ) -> None:
        self.transport: CorkedTransport
        self._flow: Flow
        self._app: Any = config.loaded_app
        self._ready: ReadyAnswers | None = getattr(self._app, "ready", None)
        self._at_once = () if self._ready is None else self._ready.beginnings
        self._state, self._app_state = server_state, app_state
        self._loop = _loop or asyncio.get_event_loop()
        self._writes = writes or WriteBatch()
        self._parser: Any = _new_parser(self)
        self._pipeline: deque[Cycle | Refusal] = deque()
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._extensions: dict[str, Any] = {DROP_IF_GONE: self._drop_if_gone, WHOLE_ANSWER: None}

    # -- the connection ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over."""
        self.transport = CorkedTransport(cast("asyncio.Transport", transport), self._writes)
        self._flow = Flow(self.transport)
        self._client, self._server = _address(transport, "peername"), _address(transport, "sockname")
        self._scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        self._state.connections.add(cast("Any", self))  # uvicorn's type lists its own protocols
        self.waiting_since = self._loop.time()

    def eof_received(self) -> None:
        """The client says no more, which ends the connection: first, what waits is written."""
        self.transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client is gone: tell the requests under way."""
        self._state.connections.discard(self)
        self._drop_all()
        self._flow.resume_writing()
        self._let_go()

    def _let_go(self) -> None:
        """Forget whatever holds this connection: it is then freed at once, and not when the garbage collector comes."""
        self._parser = Deaf()
        self._cycle = self._before_pipeline = None
        self._pipeline.clear()
        self._extensions = {}

    def _drop_all(self) -> None:
        for cycle in (self._before_pipeline, self._cycle, *self._pipeline):
            if cycle is not None:
                cycle.drop()

    def _abort(self) -> None:
        """Drop the connection. The requests under way are told first: a dropped transport refuses to write."""
        self._drop_all()
        reset_on_close(self.transport, on=True)
        self.transport.abort()

    def shutdown(self) -> None:
        """Called when the server stops: finish the request under way, take no other."""
        if self._cycle is None or self._cycle.response_complete:
            self.transport.close()  # a connection that was taken over as well: its end is nobody's to foresee
        else:
            self._cycle.keep_alive = False

    def pause_writing(self) -> None:
        """The client takes an answer slower than it comes."""
        self._flow.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._flow.resume_writing()

    def sweep(self, *, now: float, interval: float, idle_timeout: float, body_timeout: float) -> None:
        """Called every ``interval`` seconds: end the connection if its client takes too long.

        Time that a body was not waited for, because the upstream takes it no faster, does not count. A client that
        takes nothing of what was sent to it for ``idle_timeout`` is dropped: nothing else would end its calls.
        """
        if self._taken_over:
            return
        if self._stalls(interval) > idle_timeout:
            self._abort()
            return
        if now - self.waiting_since > idle_timeout:
            self.transport.close()
            return
        cycle = self._cycle
        if cycle is None or not cycle.waits_for_body or self._flow.read_paused:
            return
        self._body_seconds += interval
        if self._body_seconds > body_timeout + self._body_size / LEAST_BODY_RATE:
            self._refuse(408, "request_timeout", "the body of the request came too slowly")

    def _stalls(self, interval: float) -> float:
        """For how many seconds the client has taken nothing of what waits for it."""
        self.transport.flush()
        waiting = not_taken(self.transport)
        taking = self._flow.took or not waiting or waiting < self._not_taken
        self._not_taken, self._flow.took = waiting, False
        self._stalled_for = 0.0 if taking else self._stalled_for + interval
        return self._stalled_for

    # -- reading ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        if self._asks_to_upgrade:
            self._keep_early(data)
            return
        self._arrived = len(data)
        while True:
            self._moved = False
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._behind_upgrade(data[upgrade.args[0] :])
                if data:
                    continue
            except httptools.HttpParserError as error:
                self._refuse_for(error)
            else:
                if not self._moved:
                    self._count(len(data))
            return

    def on_message_begin(self) -> None:
        """A new request."""
        self._url = b""
        self._headers = []
        self._expects_continue = False
        self._in_head = True
        self._head_size = self._unwanted = self._body_size = 0
        self._body_seconds = 0.0

    def on_url(self, url: bytes) -> None:
        """The target, or a piece of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; trailers, which ASGI does not carry, are dropped."""
        if self._in_head:
            name = name.lower()
            if name in _BODY_HEADERS:
                self._note(name, value.lower())
            self._headers.append((name, value))
            return
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:
            raise RefusedError(431, "head_too_large", f"the request's trailers are larger than {MAX_HEAD} bytes")

    def _note(self, name: bytes, value: bytes) -> None:
        """Note how the request's body comes."""
        if name == b"expect":
            self._expects_continue = value.rstrip() == b"100-continue"
        elif value != b"chunked":
            msg = "a request body may be chunked, but come in no other transfer coding"
            raise RefusedError(400, "unsupported_transfer_coding", msg)

    def on_headers_complete(self) -> None:
        """Serve the request, unless its head is to be read again without the offer to upgrade."""
        self._in_head = False
        self._moved = True
        if self._head_size + self._arrived > MAX_HEAD:
            self._check_head()
        self._head_size = 0
        self.waiting_since = math.inf
        if not self._parser.should_upgrade():
            self._serve()
        elif self._is_websocket():
            self._asks_to_upgrade = True
            self._serve()

    def on_body(self, body: bytes) -> None:
        """A piece of the request body."""
        self._moved = True
        self._head_size = 0
        self._body_size += len(body)
        cycle = self._newest()
        if not cycle.response_complete:
            cycle.add_body(body)
            return
        self._unwanted += len(body)
        if self._unwanted > MAX_UNWANTED:
            self._abort()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._moved = True
        self._head_size = 0
        if self._answered_at_once:
            self._answered_at_once = False
            return
        if self._asks_to_upgrade or not self._parser.should_upgrade():
            cycle = self._cycle or self._newest()
            cycle.more_body = False
            cycle.notify()

    # -- serving ----------------------------------------------------------------------------------------------------

    def _answer_at_once(self) -> bool:
        """Answer a plain GET where the answer is at hand; whether that was so."""
        place = None if self._ready is None else self._ready.find_place(self._url)
        answer = place.find_answer(self._headers) if place is not None and self._is_plain_get() else None
        if answer is None:
            return False
        self.transport.write(answer)
        self._answered_at_once = True
        self.waiting_since = self._loop.time()
        return True

    def _is_plain_get(self) -> bool:
        """Whether the newest request is a GET that keeps its connection, with nothing under way before it."""
        under_way = self._cycle is not None and not self._cycle.response_complete
        if under_way or self._asks_to_upgrade or self._flow.write_paused or self.transport.is_closing():
            return False
        plain = self._parser.get_method() == b"GET" and self._parser.get_http_version() == "1.1"
        return plain and bool(self._parser.should_keep_alive())

    def _serve(self) -> None:
        """Start the application, or let a pipelined request wait for its turn."""
        if self._url.startswith(self._at_once) and self._answer_at_once():
            return
        scope = self._scope()
        modern = scope["http_version"] == "1.1"
        if not modern and scope["http_version"] != "1.0":
            raise RefusedError(505, "http_version_not_supported", "this server speaks HTTP/1.1 and HTTP/1.0")
        keep_alive = modern and self._parser.should_keep_alive() and not self._asks_to_upgrade
        expects_continue = self._expects_continue and modern  # an old client must not be asked (RFC 9110, 10.1.1)
        before = self._cycle
        self._cycle = cycle = Cycle(scope, self._flow, self._answered)
        cycle.keep_alive, cycle.expects_continue = keep_alive, expects_continue
        if before is None or before.response_complete:
            cycle.start(self._app, self._loop, self._state.tasks)
        else:
            self._flow.pause_reading()
            if not self._pipeline:
                self._before_pipeline = before
            self._pipeline.append(cycle)

    def _scope(self) -> dict[str, Any]:
        url = self._url
        if url.count(b"#"):
            msg = "a fragment in a request"
            raise ValueError(msg)
        if url.startswith(b"/"):
            raw_path, mark, query = url.partition(b"?")
        else:  # an absolute target: its host is not looked at
            parsed = httptools.parse_url(url)
            raw_path, mark, query = parsed.path or b"/", b"", parsed.query or b""
        path = raw_path.decode("ascii")
        extensions = self._extensions
        if mark and not query:
            extensions = {**extensions, EMPTY_QUERY: None}
        if self._asks_to_upgrade:
            extensions = {**extensions, TAKE_OVER: self._take_over}
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": self._parser.get_http_version(),
            "method": self._parser.get_method().decode("ascii"),
            "scheme": self._scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
            "client": self._client,
            "server": self._server,
            "state": self._app_state,
            "extensions": extensions,
        }

    def _answered(self, cycle: Cycle) -> None:
        """Serve the next request that waits, else wait for one."""
        if not cycle.keep_alive:
            self._end(unread=cycle.more_body or bool(self._pipeline) or self._flow.read_paused)
        elif not self.transport.is_closing():
            if self._flow.read_paused:
                self._flow.resume_reading()
            if self._pipeline:
                self._before_pipeline = self._pipeline.popleft()
                self._before_pipeline.start(self._app, self._loop, self._state.tasks)
            else:
                self.waiting_since = self._loop.time()

    def _end(self, *, unread: bool) -> None:
        """Close, as soon as the client has the answer."""
        if self.transport.is_closing():
            return
        if unread:
            linger(self.transport, self.connection_lost)
        else:
            self.transport.close()

    def _newest(self) -> Cycle:
        if self._cycle is None:
            msg = "a body without a request"
            raise ValueError(msg)
        return self._cycle

    def _drop_if_gone(self) -> bool:
        sock = self.transport.get_extra_info("socket")
        if sock is None or self.transport.is_closing():
            return True
        poll = select.poll()
        poll.register(sock.fileno(), _GONE)
        if gone := bool(poll.poll(0)):
            self._abort()
        return gone

    # -- connections that are taken over ----------------------------------------------------------------------------

    def _is_websocket(self) -> bool:
        """Whether the request is one that may take the connection over: a GET by HTTP/1.1 (RFC 6455, 4.1).

        It has to be alone there, no answer before it under way: what takes the connection over begins anew.
        """
        self.transport.flush()  # else whether the client takes it would be told to nobody any more
        alone = (self._cycle is None or self._cycle.response_complete) and not self._flow.write_paused
        wanted = [value.strip().lower() for name, value in self._headers if name == b"upgrade"]
        may_have_body = any(name in {b"content-length", b"transfer-encoding"} for name, _ in self._headers)
        asked = wanted == [b"websocket"] and self._parser.get_method() == b"GET" and not may_have_body
        return alone and asked and self._parser.get_http_version() == "1.1"

    def _keep_early(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > MAX_HEAD:
            self._flow.pause_reading()

    def _take_over(self, headers: list[tuple[bytes, bytes]]) -> TakenOver:
        self._taken_over = True
        if self._cycle is not None:
            self._cycle.take_over(headers)
        self._flow.pause_reading()
        early, self._early = self._early, b""
        return TakenOver(self.transport, early, functools.partial(self.connection_lost, None))

    # -- what is not served -----------------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD:
            self._refuse(431, "head_too_large", f"the head of the request is larger than {MAX_HEAD} bytes")

    def _check_head(self) -> None:
        """Refuse a head that came in few pieces, too large all the same: whether it is must not depend on the line."""
        if len(self._url) + sum(len(name) + len(value) for name, value in self._headers) > MAX_HEAD:
            raise RefusedError(431, "head_too_large", f"the head of the request is larger than {MAX_HEAD} bytes")

    def _behind_upgrade(self, rest: bytes) -> bytes:
        """What to parse next behind a request that asks for an upgrade; empty where nothing is."""
        if self._asks_to_upgrade:
            self._keep_early(rest)
            return b""
        if self._parser.get_method() == b"CONNECT":
            self._refuse(400, "invalid_request", "this server is no proxy to other hosts")
            return b""
        method, version = self._parser.get_method(), self._parser.get_http_version()
        self._parser = _new_parser(self)
        return head_without_upgrade(method, self._url, version, self._headers) + rest

    def _refuse_for(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, RefusedError):
            self._refuse(cause.status, cause.code, cause.detail)
        else:
            self._refuse(400, "invalid_request", f"this is not a valid HTTP request: {cause or error}")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Refuse what came last, in its turn, and whatever may follow."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._parser = Deaf()
        answer, cycle = refusal(status, code, detail, now=time.time()), self._cycle

        def say() -> None:
            self.transport.write(answer)
            self._end(unread=True)

        if cycle is None or (cycle.response_complete and not cycle.more_body):
            say()
        elif cycle.response_complete:  # of a body that nobody wanted, nobody is told
            self._end(unread=True)
        elif cycle.response_started and cycle.more_body:
            self._abort()
        elif cycle.response_started:  # another word might be taken for a part of the answer under way
            cycle.keep_alive = False
        elif not cycle.more_body:
            self._pipeline.append(Refusal(say))
        elif self._pipeline:
            self._pipeline[-1] = Refusal(say)
        else:
            cycle.drop()
            say()


def _new_parser(protocol: HttpProtocol) -> Any:
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # requests may follow one that asks to close
    return parser


def _address(transport: asyncio.BaseTransport, name: str) -> tuple[str, int] | None:
    """An address of the connection; None for a Unix socket."""
    address = transport.get_extra_info(name)
    return (str(address[0]), int(address[1])) if isinstance(address, (list, tuple)) else None
