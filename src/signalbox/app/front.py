"""The first to see a request: tells the hub's own paths from those of upstreams (raw ASGI)."""

import re
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from urllib.parse import unquote

from starlette.routing import compile_path

from signalbox.core.asgi import AsgiApp, ErrorResponder, Message, Receive, Scope, Send
from signalbox.core.errors import InvalidError, NotFoundError, SignalboxError
from signalbox.core.ids import is_request_id, new_request_id
from signalbox.core.proxies import TrustedProxies
from signalbox.gateway.paths import sanitize_path
from signalbox.gateway.proxy import Proxy
from signalbox.infra.clock import Clock

_HOST = re.compile(rb"[^\s\x00-\x20\x7f-\xff/?#@\\\"<>^`{|}]+")


class InvalidHostError(InvalidError):
    """A request must have exactly one valid Host header (RFC 9112, 3.2)."""

    code = "invalid_host"


class NoSuchPathError(NotFoundError):
    """This process serves no upstreams, and the path is not its own."""

    code = "not_found"


class OwnPaths:
    """The paths that the hub's routers registered."""

    def __init__(self, templates: Iterable[str]) -> None:
        self._by_first: dict[str, list[re.Pattern[str]]] = {}
        for template in templates:
            pattern = compile_path(template)[0]
            self._by_first.setdefault(template.split("/")[1], []).append(pattern)

    def find(self, path: str) -> str | None:
        """The path as registered, a slash at its end added or removed where needed; None where it is not own."""
        patterns = self._by_first.get(path.split("/", 2)[1])
        if patterns is None:
            return None
        other = path[:-1] if path.endswith("/") else path + "/"
        return next((each for each in (path, other) if any(pattern.match(each) for pattern in patterns)), None)


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
            await self._respond(send, _host_error(hosts), close=True)
            return
        self._resolve_path(scope)
        proxy = self._proxy
        if proxy is not None and proxy.table.owns_host(hosts[0]):
            await proxy(scope, receive, send)
            return
        own = self._own.find(scope["path"])
        if own is not None:
            await self._serve_own(own, scope, receive, send)
        elif proxy is not None:
            await proxy(scope, receive, send)
        else:
            error = NoSuchPathError(f"nothing is served at {scope['path']} by this process")
            await self._respond(send, error)

    def _resolve_path(self, scope: Scope) -> None:
        """Take off the root path and resolve dot segments, so that what is routed is what is served."""
        raw = scope["raw_path"]
        path = sanitize_path(raw)
        if self._raw_root and (path == self._raw_root or path.startswith(self._raw_root + b"/")):
            path = path[len(self._raw_root) :] or b"/"
        if path != raw:
            scope["raw_path"] = path
            scope["path"] = unquote(path.decode("ascii"))

    async def _serve_own(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _request_id(scope["headers"])
        scope["root_path"] = self._root
        scope["state"] = {"request_id": request_id.decode()}
        send = self._stamped(send, request_id)
        if self.proxies.trusts(scope["client"][0] if scope["client"] else ""):
            peer = scope["client"]
            scope["client"] = (self.proxies.client(peer[0], scope["headers"]), peer[1])
        door = self._doors.get((scope["method"], path))
        if door is None:
            scope["path"] = self._root + path
            await self._api(scope, receive, send)
            return
        try:
            await door(scope, receive, send)
        except SignalboxError as error:
            await self._respond(send, error)

    def _stamped(self, send: Send, request_id: bytes) -> Send:
        """The hub's own answers carry a Date (RFC 9110, 6.6.1) and the request id; upstreams bring their own Date."""
        date = formatdate(self._clock.now() / 1_000_000, usegmt=True).encode()
        stamps = [(b"date", date), (b"x-request-id", request_id)]

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *stamps]
            await send(message)

        return stamped


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    given = next((value for name, value in headers if name == b"x-request-id"), b"")
    return given if is_request_id(given) else new_request_id()


def _host_error(hosts: list[bytes]) -> InvalidHostError:
    said = "its value is not a host name" if len(hosts) == 1 else f"this one has {len(hosts)}"
    return InvalidHostError(f"a request needs exactly one Host header; {said}")
