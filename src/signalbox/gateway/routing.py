"""Which upstream a request belongs to, and under which route its statistics count."""

import re
from collections.abc import Sequence

from signalbox.gateway.paths import canonical, lenient_reading, strip_segments
from signalbox.gateway.settings import GatewaySettings, UpstreamSettings

UNMATCHED = "unmatched"
"""The route of calls that fit no template, so that statistics stay bounded whatever paths are asked for."""

_PARAMETER = re.compile(r"\{[^{}/]*\}")


class Upstream:
    """One upstream, compiled from its settings."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self.name = settings.name
        self.needs_token = settings.access == "token"
        self.max_body = settings.max_body
        self._skip = 0
        if settings.strip_prefix and settings.prefix:
            self._skip = sum(1 for segment in settings.prefix.split("/") if segment)
        self._routes = list(settings.routes)
        self._pattern = _compile(self._routes)

    def target(self, path: bytes, query: bytes | None) -> bytes:
        """What is sent upstream, behind the path of a target's address, for a sanitized path and query.

        ``query`` is None where there is none.
        """
        if self._skip:
            path = strip_segments(path, self._skip)
        return path if query is None else path + b"?" + query

    def route(self, path: bytes) -> str:
        """The template that a canonical path fits, or ``unmatched``."""
        if self._pattern is None:
            return UNMATCHED
        match = self._pattern.fullmatch(path)
        return UNMATCHED if match is None else self._routes[(match.lastindex or 1) - 1]


class _Prefixes:
    """Upstreams by path prefix; the longest wins, at segment bounds."""

    def __init__(self) -> None:
        self._by_prefix: dict[bytes, Upstream] = {}
        self._depth = 0

    def add(self, prefix: str, upstream: Upstream) -> None:
        path = canonical(prefix.encode()).rstrip(b"/")
        self._by_prefix[path] = upstream
        self._depth = max(self._depth, path.count(b"/"))

    def find(self, path: bytes) -> Upstream | None:
        if not self._depth:
            return self._by_prefix.get(b"")
        path = b"/".join(path.split(b"/", self._depth + 1)[: self._depth + 1])  # however long, as deep as prefixes are
        while path:
            found = self._by_prefix.get(path)
            if found is not None:
                return found
            path = path.rpartition(b"/")[0]
        return self._by_prefix.get(b"")


class RoutingTable:
    """All upstreams: by host name, else by longest prefix, else the default."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.upstreams = [Upstream(each) for each in settings.upstreams]
        self._default = next((each for each in self.upstreams if each.name == settings.default), None)
        self.guarded = any(each.needs_token for each in self.upstreams)
        """Whether any upstream needs a token."""
        self._anywhere = _Prefixes()
        self._by_host: dict[bytes, _Prefixes] = {}
        for upstream, own in zip(self.upstreams, settings.upstreams, strict=True):
            if own.host is not None:
                self._by_host.setdefault(own.host.encode(), _Prefixes()).add(own.prefix or "", upstream)
            elif own.prefix is not None:
                self._anywhere.add(own.prefix, upstream)

    def owns_host(self, host: bytes) -> bool:
        """Whether an upstream claims every path of this ``Host`` value."""
        return bool(self._by_host) and bare_host(host) in self._by_host

    def find(self, host: bytes, path: bytes) -> Upstream | None:
        """The upstream of a ``Host`` value and a canonical path."""
        if self._by_host:
            own = self._by_host.get(bare_host(host))
            if own is not None:
                return own.find(path)
        return self._anywhere.find(path) or self._default

    def needs_token(self, host: bytes, path: bytes, upstream: Upstream) -> bool:
        """Whether this upstream, or one that a lenient server could take the canonical path to mean, needs a token."""
        if not self.guarded or upstream.needs_token:
            return upstream.needs_token
        reading = lenient_reading(path)
        other = None if reading is None else self.find(host, reading)
        return other is not None and other.needs_token


def bare_host(host: bytes) -> bytes:
    """A ``Host`` value in lower case, without port and trailing dot."""
    name = host.lower()
    if name.startswith(b"["):
        return name.partition(b"]")[0] + b"]"
    return name.partition(b":")[0].rstrip(b".")


def _compile(routes: Sequence[str]) -> re.Pattern[bytes] | None:
    """One pattern with a group for each template, in the order given: the first that fits wins."""
    if not routes:
        return None
    return re.compile("|".join(f"({_to_regex(route)})" for route in routes).encode())


def _to_regex(route: str) -> str:
    literals = [re.escape(canonical(text.encode()).decode()) for text in _PARAMETER.split(route.rstrip("/"))]
    return "[^/]+".join(literals) + "/?"
