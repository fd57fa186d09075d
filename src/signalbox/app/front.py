"""The first to see a request: tells the hub's own paths from those of upstreams (raw ASGI)."""

import logging
from collections.abc import Awaitable, Iterable
from email.utils import formatdate
from urllib.parse import unquote

from signalbox.app.body import check_length, declared_length, limited
from signalbox.app.errors import InternalError, MethodNotAllowedError
from signalbox.app.own_paths import OwnPath, OwnPaths
from signalbox.app.ready import ReadyAnswers
from signalbox.core.asgi import WHOLE_ANSWER, AsgiApp, ErrorResponder, Message, Receive, Scope, Send, Turn
from signalbox.core.errors import InvalidError, NotFoundError, SignalboxError
from signalbox.core.ids import is_request_id, new_request_id
from signalbox.core.proxies import TrustedProxies
from signalbox.gateway.headers import split_request
from signalbox.gateway.paths import sanitize_path
from signalbox.gateway.proxy import Proxy
from signalbox.infra.clock import Clock

MAX_BODY = 1024 * 1024
"""Bytes that the hub's own routes take; doors have limits of their own."""

_log = logging.getLogger(__name__)

_WITH_HEAD = frozenset({"http.response.start", WHOLE_ANSWER})

_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods of requests that seldom have a body."""

_HOST_CHARACTERS = bytes(set(range(0x21, 0x7F)) - set(b'/?#@\\"<>^`{|}'))
"""What may stand in a ``Host`` value. To delete these takes half the time that a regular expression takes."""


class InvalidHostError(InvalidError):
    """A request must have exactly one valid Host header (RFC 9112, 3.2)."""

    code = "invalid_host"


class NoSuchPathError(NotFoundError):
    """This process serves no upstreams, and the path is not its own."""

    code = "not_found"


class Front:
    """The ASGI application of a process. ``proxies`` may be replaced while it runs."""

    def __init__(
        self,
        *,
        api: AsgiApp,
        own: OwnPaths,
        proxy: Proxy | None,
        respond: ErrorResponder,
        clock: Clock,
        root_path: str,
        proxies: TrustedProxies,
    ) -> None:
        self.proxies = proxies
        self._api, self._own, self._proxy = api, own, proxy
        self._respond, self._clock = respond, clock
        self._second, self._date = -1, b""
        self._root, self._raw_root = root_path, root_path.encode()
        self.ready = ReadyAnswers(own, root=self._raw_root, is_host=self._is_own_host, clock=clock)
        """Answers that need no task; the protocol asks for them first."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            msg = f"this application serves http, not {scope['type']}"
            raise RuntimeError(msg)
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not _is_host(hosts[0]):
            await self._refuse(scope, send, _host_error(hosts), close=True)
            return
        if not scope["raw_path"].startswith(b"/"):  # OPTIONS * asks no resource (RFC 9110, 9.3.7)
            await self._refuse(scope, send, NoSuchPathError("the target of a request begins with /"))
            return
        self._resolve_path(scope)
        proxy = self._proxy
        if proxy is not None and proxy.rules.table.owns_host(hosts[0]):
            await proxy(scope, receive, send)
            return
        own = self._own.find(scope["raw_path"])
        if own is not None:
            await self._serve_own(own, scope, receive, send)
        elif proxy is not None:
            await proxy(scope, receive, send)
        else:
            await self._refuse(scope, send, NoSuchPathError(f"nothing is served at {scope['path']} by this process"))

    def _is_own_host(self, host: bytes) -> bool:
        """Whether a ``Host`` value is valid, and no upstream claims all of its paths."""
        if self._proxy is not None and self._proxy.rules.table.owns_host(host):
            return False
        return _is_host(host)

    def begin(self, scope: Scope, turn: Turn) -> bool:
        """Serve a call through the gateway without a task where that can be, as ``Begin``."""
        proxy = self._proxy
        if proxy is None or scope["method"] not in _WITHOUT_BODY:
            return False
        split = _, special = split_request(scope["headers"])
        hosts = special.get(b"host", ())
        given = raw_path, _ = scope["raw_path"], scope["path"]
        if len(hosts) != 1 or not _is_host(hosts[0]) or not raw_path.startswith(b"/"):
            return False
        if self._raw_root or sanitize_path(raw_path) is not raw_path:
            self._resolve_path(scope)
        is_own = self._own.find(scope["raw_path"]) is not None and not proxy.rules.table.owns_host(hosts[0])
        if not is_own and proxy.begin(scope, turn, split):
            return True
        scope["raw_path"], scope["path"] = given  # else the root path would be taken off twice
        return False

    async def _refuse(self, scope: Scope, send: Send, error: SignalboxError, *, close: bool = False) -> None:
        await self._respond(self._stamped(send, _request_id(scope["headers"])), error, close=close)

    def _resolve_path(self, scope: Scope) -> None:
        """Take off the root path and resolve dot segments, so that what is routed is what is served."""
        raw = scope["raw_path"]
        path = sanitize_path(raw)
        if self._raw_root and (path == self._raw_root or path.startswith(self._raw_root + b"/")):
            path = path[len(self._raw_root) :] or b"/"
        if path != raw:
            scope["raw_path"] = path
            scope["path"] = unquote(path.decode("ascii"))

    async def _serve_own(self, own: OwnPath, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _request_id(scope["headers"])
        scope["root_path"] = self._root
        scope["state"] = {"request_id": request_id.decode()}
        send = self._stamped(send, request_id)
        if self.proxies.trusts(scope["client"][0] if scope["client"] else ""):
            peer = scope["client"]
            scope["client"] = (self.proxies.client(peer[0], scope["headers"]), peer[1])
        try:
            await self._dispatch(own, scope, receive, send)
        except SignalboxError as error:
            await self._respond(send, error)

    async def _dispatch(self, own: OwnPath, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method not in own.methods:
            raise MethodNotAllowedError(method, own.methods)
        endpoint = own.endpoints.get(method)
        if endpoint is not None:
            scope["path_params"] = endpoint.parameters
            await _guarded(endpoint.app, scope, receive, send)
            return
        check_length(declared_length(scope["headers"]), MAX_BODY)
        # A HEAD is a GET whose body the server keeps to itself, by the method in its own scope.
        asked = {**scope, "path": self._root + unquote(own.path), "method": "GET" if method == "HEAD" else method}
        await self._api(asked, limited(receive, MAX_BODY), send)

    def _stamped(self, send: Send, request_id: bytes) -> Send:
        """The hub's own answers carry a Date (RFC 9110, 6.6.1) and the request id; upstreams bring their own Date."""
        stamps = self._stamps(request_id)

        def stamped(message: Message) -> Awaitable[None]:
            if message["type"] in _WITH_HEAD:
                message["headers"] = [*message.get("headers", ()), *stamps]
            return send(message)

        return stamped

    def _stamps(self, request_id: bytes) -> list[tuple[bytes, bytes]]:
        second = self._clock.now() // 1_000_000
        if second != self._second:  # to write a date takes as long as to route a request
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return [(b"date", self._date), (b"x-request-id", request_id)]


async def _guarded(endpoint: AsgiApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a door or a poll; what nobody expected is logged, and told as little of as FastAPI's routes do."""
    try:
        await endpoint(scope, receive, send)
    except SignalboxError:
        raise
    except Exception as error:
        _log.exception("a request failed", extra={"path": scope["path"]})
        raise InternalError from error


def _is_host(value: bytes) -> bool:
    """Whether a ``Host`` value may be one."""
    return value != b"" and not value.translate(None, _HOST_CHARACTERS)


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == b"x-request-id":
            return value if is_request_id(value) else new_request_id()
    return new_request_id()


def _host_error(hosts: list[bytes]) -> InvalidHostError:
    said = "its value is not a host name" if len(hosts) == 1 else f"this one has {len(hosts)}"
    return InvalidHostError(f"a request needs exactly one Host header; {said}")
