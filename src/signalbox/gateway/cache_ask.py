"""A request as the cache sees it, and what the cache found out about it."""

from collections.abc import Set as AbstractSet

from signalbox.gateway.cache_control import NOTHING, Directives, Header, by_name, parse_directives
from signalbox.gateway.cache_entry import NAME, Entry
from signalbox.gateway.cache_rules import OWN_CONDITIONS
from signalbox.gateway.headers import Way

PASSING_BY = frozenset(
    {
        b"range",
        b"if-range",
        b"if-match",
        b"if-unmodified-since",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-url",
        b"x-rewrite-url",
    }
)
"""Request headers that keep a request out of the cache: it is for a part, must not be answered by what may be old, or
gives itself another method or target behind its own."""

SPOKEN = OWN_CONDITIONS | PASSING_BY | {b"cache-control", b"pragma"}
"""Request headers that say something to caches."""

GET, HEAD = b"GET", b"HEAD"
METHOD, BYPASS, MISS, VARY, REQUEST, STALE = (
    NAME + b"; fwd=" + why for why in (b"method", b"bypass", b"uri-miss", b"vary-miss", b"request", b"stale")
)
"""Why a request was sent on, as ``Cache-Status`` has it (RFC 9211, 2.2)."""


class Ask:
    """One request, and what ``GatewayCache.lookup`` found out about it.

    What is the same for most stands in the class: to set it for each costs more than it tells.
    """

    directives: Directives = NOTHING
    credentials = False
    plain = True
    """Whether any fresh answer will do."""
    why = MISS
    key = b""
    """Of the target."""
    place = b""
    """Where the answer lies, if not under ``key``."""
    entry: Entry | None = None
    """What is stored and may be used once the upstream has confirmed it, or failed."""

    def __init__(
        self, method: bytes, target: bytes, *, origin: bytes, headers: list[Header], has_body: bool = False
    ) -> None:
        """Take a request.

        Args:
            method: As it came.
            target: Path and query as sent upstream.
            origin: What the upstream is told that the client asked: see ``origin_of``.
            headers: To be sent upstream; not needed are those that the gateway makes for every call.
            has_body: Whether the request has a body, or may have one.
        """
        self.method, self.target, self.origin, self.headers = method, target, origin, headers
        self.has_body = has_body

    @property
    def flight_key(self) -> bytes:
        """What requests that may share an answer have in common."""
        return (self.place or self.key + self.origin) + (b"c" if self.credentials else b"")

    @property
    def may_share(self) -> bool:
        """Whether an answer that another request fetches will do."""
        said = self.directives
        forced = said.no_store or said.no_cache or said.max_age is not None or said.min_fresh is not None
        return self.method == GET and not forced

    def read(self, credentials: AbstractSet[bytes]) -> None:
        """Take what the request says to caches; ``credentials`` are the headers that say who asks."""
        fields = by_name(header for header in self.headers if header[0] in SPOKEN or header[0] in credentials)
        if not PASSING_BY.isdisjoint(fields):
            self.why = BYPASS
        if b"cache-control" in fields:
            self.directives = parse_directives(fields[b"cache-control"])
        elif b"pragma" in fields and b"no-cache" in b",".join(fields[b"pragma"]).lower():
            self.directives = NOTHING._replace(no_cache=True)
        self.credentials = not credentials.isdisjoint(fields)
        has_conditions = not OWN_CONDITIONS.isdisjoint(fields)
        self.plain = self.plain and self.directives == NOTHING and not has_conditions


def origin_of(special: dict[bytes, list[bytes]], way: Way, *, trusted: bool) -> bytes:
    """``scheme://host`` that the client asked, as the upstream is told in ``X-Forwarded-Proto`` and ``-Host``."""
    said = special if trusted else {}
    scheme = said.get(b"x-forwarded-proto", (way[1].encode(),))[0]
    return scheme + b"://" + said.get(b"x-forwarded-host", (way[2],))[0]
