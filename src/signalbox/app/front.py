"""The first to see a request: tells the hub's own paths from those of upstreams (raw ASGI)."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import unquote

from starlette.routing import compile_path

from signalbox.app.body import check_length, declared_length, limited
from signalbox.app.errors import InternalError, MethodNotAllowedError
from signalbox.core.asgi import AsgiApp, ErrorResponder, Message, Receive, Scope, Send
from signalbox.core.errors import InvalidError, NotFoundError, SignalboxError
from signalbox.core.ids import is_request_id, new_request_id
from signalbox.core.proxies import TrustedProxies
from signalbox.gateway.paths import decode_needless, sanitize_path
from signalbox.gateway.proxy import Proxy
from signalbox.infra.clock import Clock

MAX_BODY = 1024 * 1024
"""Bytes that the hub's own routes take; doors have limits of their own."""

_log = logging.getLogger(__name__)

_HOST = re.compile(rb"[^\s\x00-\x20\x7f-\xff/?#@\\\"<>^`{|}]+")


class InvalidHostError(InvalidError):
    """A request must have exactly one valid Host header (RFC 9112, 3.2)."""

    code = "invalid_host"


class NoSuchPathError(NotFoundError):
    """This process serves no upstreams, and the path is not its own."""

    code = "not_found"


@dataclass(frozen=True, slots=True)
class OwnPath:
    """A path as it was registered, and the methods that it takes."""

    path: str
    methods: frozenset[str]


class OwnPaths:
    """The paths that the hub's routers registered, from templates and their methods."""

    def __init__(self, templates: Iterable[tuple[str, Iterable[str]]]) -> None:
        self._by_first: dict[bytes, list[tuple[re.Pattern[str], frozenset[str]]]] = {}
        for template, methods in templates:
            known = frozenset(methods) | ({"HEAD"} if "GET" in methods else set())
            first = template.split("/")[1].encode()
            self._by_first.setdefault(first, []).append((compile_path(template)[0], known))

    def find(self, raw_path: bytes) -> OwnPath | None:
        """The path, a slash at its end added or removed where needed; None where it is not own."""
        raw_path = decode_needless(raw_path)
        patterns = self._by_first.get(raw_path.split(b"/", 2)[1])
        if patterns is None:
            return None
        path = raw_path.decode("ascii")
        for each in (path, path[:-1] if path.endswith("/") else path + "/"):
            methods = [known for pattern, known in patterns if pattern.match(each)]
            if methods:
                return OwnPath(each, frozenset().union(*methods))
        return None


class Front:
    """The ASGI application of a process. ``proxies`` may be replaced while it runs."""

    def __init__(
        self,
        *,
        api: AsgiApp,
        own: OwnPaths,
        doors: Mapping[tuple[str, str], AsgiApp],
        proxy: Proxy | None,
        respond: ErrorResponder,
        clock: Clock,
        root_path: str,
        proxies: TrustedProxies,
    ) -> None:
        self.proxies = proxies
        self._api, self._own, self._doors, self._proxy = api, own, doors, proxy
        self._respond, self._clock = respond, clock
        self._root, self._raw_root = root_path, root_path.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            msg = f"this application serves http, not {scope['type']}"
            raise RuntimeError(msg)
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None:
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
        door = self._doors.get((method, own.path))
        if door is not None:
            await _guarded(door, scope, receive, send)
            return
        check_length(declared_length(scope["headers"]), MAX_BODY)
        # A HEAD is a GET whose body the server keeps to itself, by the method in its own scope.
        asked = {**scope, "path": self._root + unquote(own.path), "method": "GET" if method == "HEAD" else method}
        await self._api(asked, limited(receive, MAX_BODY), send)

    def _stamped(self, send: Send, request_id: bytes) -> Send:
        """The hub's own answers carry a Date (RFC 9110, 6.6.1) and the request id; upstreams bring their own Date."""
        date = formatdate(self._clock.now() / 1_000_000, usegmt=True).encode()
        stamps = [(b"date", date), (b"x-request-id", request_id)]

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *stamps]
            await send(message)

        return stamped


async def _guarded(door: AsgiApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a door; what nobody expected is logged, and told as little of as FastAPI's routes do."""
    try:
        await door(scope, receive, send)
    except SignalboxError:
        raise
    except Exception as error:
        _log.exception("a door failed", extra={"path": scope["path"]})
        raise InternalError from error


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    given = next((value for name, value in headers if name == b"x-request-id"), b"")
    return given if is_request_id(given) else new_request_id()


def _host_error(hosts: list[bytes]) -> InvalidHostError:
    said = "its value is not a host name" if len(hosts) == 1 else f"this one has {len(hosts)}"
    return InvalidHostError(f"a request needs exactly one Host header; {said}")
