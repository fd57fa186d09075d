"""How often an upstream may be called: by address, path, app, and by combinations of these.

The answers tell how the limits stand, in the headers of draft-ietf-httpapi-ratelimit-headers-11: ``RateLimit-Policy``
has an item for each limit that applies, ``"shop:ip";q=1000;w=60`` (at most 1,000 calls in any 60 seconds), and
``RateLimit`` one such as ``"shop:ip";r=998;t=12`` (998 at once, one more in 12 seconds). A refusal's ``RateLimit`` names
only the limits that refuse, for ``Retry-After`` should not be earlier than any ``t`` beside it.
"""

import re
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from signalbox.core.errors import TooManyError
from signalbox.core.rates import Rate, RateSetting
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.paths import canonical, lenient_reading, sanitize_path
from signalbox.infra.limits import LocalLimiter, Quota, Usage, Verdict

MAX_RATE = 1_000_000
"""Largest limit that is counted; exact counting takes 8 to 16 bytes for each call in the window."""

By = Literal["ip", "path", "ip+path", "app", "ip+app"]
Header = tuple[bytes, bytes]

_WHO = {
    "ip": "each address",
    "path": "all callers together",
    "ip+path": "each address",
    "app": "each app",
    "ip+app": "each app at each address",
}
_MAPPED = bytes(10) + b"\xff\xff"
"""First bytes of an IPv6 address that only wraps an IPv4 one (RFC 4291, 2.5.5.2)."""
_NETWORK = 8
"""Bytes of an IPv6 address that name the network."""
_PERCENT, _SEMICOLON = b"%;"
"""Bytes without which a path has one reading only; as numbers they are found in a sixth of the time."""
_MAX_HEADS = 256
"""Combinations of limits whose headers are remembered."""
_MAX_CALLERS = 4_096
"""Callers whose demands are remembered, for each upstream."""

_Caller = tuple[str, str | None, int]
"""An address, an app, and the patterns that the path fits, as bits."""


class RateLimitedError(TooManyError):
    """A limit of the upstream is used up; ``headers`` belong to the answer."""

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after: float, headers: tuple[Header, ...]) -> None:
        super().__init__(message, retry_after=retry_after)
        self.headers = headers


def _check_pattern(pattern: str) -> str:
    if not pattern.startswith("/") or "//" in pattern or not pattern.isascii():
        msg = "starts with / and holds no empty segment, such as /categories/*"
        raise ValueError(msg)
    if "?" in pattern or "#" in pattern or sanitize_path(pattern.encode()) != pattern.encode():
        msg = "is a path: no query, fragment or dot segments, other characters than those of a path percent-encoded"
        raise ValueError(msg)
    if any("*" in segment and segment != "*" for segment in pattern.split("/")):
        msg = "has * only as a whole segment, such as /users/*/orders or /categories/*"
        raise ValueError(msg)
    return pattern


def _check_rate(rate: Rate) -> Rate:
    if rate.limit > MAX_RATE:
        msg = f"counts at most {MAX_RATE} calls in its window; write a shorter window with a smaller number"
        raise ValueError(msg)
    return rate


class LimitSettings(BaseModel):
    """A limit on the calls of an upstream, in ``limits``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: By
    """What has a counter of its own: ``ip`` each client address (of IPv6 each /64 network, which is what one customer
    gets), ``path`` none: all calls that fit the pattern share one, ``ip+path`` each address for the pattern, ``app``
    each app that sends its token, ``ip+app`` each app at each address. Calls without an app are not limited by app."""
    rate: Annotated[RateSetting, AfterValidator(_check_rate)]
    """``1000/1m``: never more than 1,000 calls in any minute."""
    pattern: Annotated[str, AfterValidator(_check_pattern)] | None = None
    """The paths that are limited, as clients spell them; unset: all. ``*`` at the end is anything below, elsewhere one
    segment; a slash at the end of the path means nothing."""

    @model_validator(mode="after")
    def _pattern_where_needed(self) -> "LimitSettings":
        if self.pattern is None and self.by in {"path", "ip+path"}:
            msg = f"a limit by {self.by} needs a pattern, such as /categories/*"
            raise ValueError(msg)
        return self


def _check_differ(limits: list[LimitSettings]) -> list[LimitSettings]:
    for place, limit in enumerate(limits):
        if limit in limits[:place]:
            msg = f"the limit by {limit.by} of {limit.rate} stands there twice"
            raise ValueError(msg)
    return limits


Limits = Annotated[list[LimitSettings], AfterValidator(_check_differ)]
"""A field of settings: the limits of an upstream, no two the same."""


class LimitUsage(NamedTuple):
    """How a limit stands at present."""

    name: str
    """As in the headers."""
    settings: LimitSettings
    keys: int
    """How many counters are in use."""
    fullest: list[tuple[str, int]]
    """Whose counters have most calls in the window, and how many; the name is empty where all callers share one."""


class _Limit:
    """One limit, compiled; ``bit`` stands for it in combinations of an upstream's limits."""

    __slots__ = ("bit", "by_app", "by_ip", "name", "pattern", "policy", "prefix", "rate", "refusal", "settings")

    def __init__(self, settings: LimitSettings, *, upstream: str, name: str, bit: int) -> None:
        self.settings, self.name, self.bit, self.rate = settings, name, bit, settings.rate
        self.prefix = f"{upstream} {settings.by} {settings.rate} {settings.pattern or ''} "
        """Of all keys of this limit; what follows says whom a key counts."""
        self.by_ip, self.by_app = settings.by.startswith("ip"), settings.by.endswith("app")
        self.pattern = 0
        """The bit of its pattern among an upstream's; 0 where it limits all paths."""
        self.policy = f'"{name}";q={self.rate.limit};w={self.rate.window // MICROSECONDS}'
        paths = "" if settings.pattern is None else f" to {settings.pattern}"
        calls, _, window = str(self.rate).partition("/")
        self.refusal = f"{_WHO[settings.by]} may make {calls} calls{paths} of the upstream {upstream} in any {window}"


class UpstreamLimits:
    """The limits of one upstream. Made anew when settings change; what has been counted is the limiter's and stays."""

    def __init__(self, settings: Sequence[LimitSettings], limiter: LocalLimiter, upstream: str) -> None:
        self._limiter = limiter
        self._limits: list[_Limit] = []
        seen: Counter[str] = Counter()
        for each in settings:
            seen[each.by] += 1
            name = f"{upstream}:{each.by}" if seen[each.by] == 1 else f"{upstream}:{each.by}-{seen[each.by]}"
            self._limits.append(_Limit(each, upstream=upstream, name=name, bit=1 << len(self._limits)))
        self._heads: dict[int, tuple[Header, bytes]] = {}
        self._patterns = self._compile_patterns()
        self._known: dict[_Caller, tuple[dict[str, Rate], int]] = {}

    def check(self, client: str, app: str | None, path: bytes, now: int) -> list[Header]:
        """Count a call against every limit that applies to it.

        Args:
            client: The address that the call comes from, as ``TrustedProxies.client`` gives it.
            app: The name of the app that sent its token, if one did.
            path: The canonical path.
            now: ``clock.monotonic()`` in microseconds.

        Returns:
            Headers for the answer; none where no limit applies.

        Raises:
            RateLimitedError: a limit is used up; the call counts nowhere.
        """
        reading = lenient_reading(path) if _PERCENT in path or _SEMICOLON in path else None
        fitting = 0
        for bit, fits in self._patterns:
            if fits(path) is not None or (reading is not None and fits(reading) is not None):
                fitting |= bit
        caller = client, app, fitting
        demands, applying = self._known.get(caller) or self._demands_of(caller)
        if not applying:
            return []
        verdict = self._limiter.take_now(demands, now)
        if not verdict.allowed:
            raise self._refusal(applying, demands, verdict)
        policy, standing = self._heads.get(applying) or self._remember(applying)
        values: tuple[int, ...] = ()
        for remaining, reset in verdict[3]:
            values += (remaining, -(-reset // MICROSECONDS))
        return [policy, (b"ratelimit", standing % values)]

    async def usage(self, *, top: int = 10) -> list[LimitUsage]:
        """How each limit stands, with its ``top`` fullest counters; for status pages."""
        return [_usage(limit, await self._limiter.usage(limit.prefix, limit.rate, top=top)) for limit in self._limits]

    def _compile_patterns(self) -> list[tuple[int, Callable[[bytes], re.Match[bytes] | None]]]:
        """What tells whether a path fits each of the patterns, and the bit that stands for it from now on."""
        bits: dict[str, int] = {}
        for limit in self._limits:
            if limit.settings.pattern is not None:
                limit.pattern = bits.setdefault(limit.settings.pattern, 1 << len(bits))
        return [(bit, _compile(pattern)) for pattern, bit in bits.items()]

    def _demands_of(self, caller: _Caller) -> tuple[dict[str, Rate], int]:
        """What a call demands of the limiter, and the limits that apply to it: the same as the caller's last time."""
        client, app, fitting = caller
        demands: dict[str, Rate] = {}
        applying = 0
        for limit in self._limits:
            if (limit.by_app and app is None) or limit.pattern & ~fitting:
                continue
            whose = [app or ""] if limit.by_app else []
            if limit.by_ip:
                whose.append(network_of(client))
            applying |= limit.bit
            demands[limit.prefix + "@".join(whose)] = limit.rate
        if len(self._known) >= _MAX_CALLERS:
            self._known.clear()
        made = self._known[caller] = demands, applying
        return made

    def _remember(self, limits: int) -> tuple[Header, bytes]:
        """The policies of a combination of limits, and the value of ``RateLimit`` with two places for each of them."""
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
        chosen = [limit for limit in self._limits if limits & limit.bit]
        policy = b"ratelimit-policy", ", ".join([limit.policy for limit in chosen]).encode()
        standing = ", ".join([f'"{limit.name}";r=%d;t=%d' for limit in chosen]).encode()
        made = self._heads[limits] = policy, standing
        return made

    def _refusal(self, applying: int, demands: dict[str, Rate], verdict: Verdict) -> RateLimitedError:
        """The error for a verdict on the demands of the limits that apply."""
        refusing, quotas, told = 0, [], ""
        chosen = (limit for limit in self._limits if applying & limit.bit)
        for limit, key, quota in zip(chosen, demands, verdict.quotas, strict=True):
            if quota[0] == 0:
                refusing |= limit.bit
                quotas.append(quota)
            if key == verdict.refused_by:
                told = limit.refusal
        policy, _ = self._heads.get(applying) or self._remember(applying)
        _, standing = self._heads.get(refusing) or self._remember(refusing)
        msg = f"{told}; call again in {-(-verdict.retry_after // MICROSECONDS)} s"
        headers = (policy, _filled(standing, quotas))
        return RateLimitedError(msg, retry_after=verdict.retry_after / MICROSECONDS, headers=headers)


def network_of(client: str) -> str:
    """Whom an address counts as: an IPv4 address itself, also wrapped in IPv6, of an IPv6 address its /64 network.

    One customer is given a /64 at least (RFC 6177), and could call from another of its addresses each time. What is
    no address counts as itself.
    """
    if ":" not in client:
        return client
    try:
        packed = socket.inet_pton(socket.AF_INET6, client.partition("%")[0])
    except OSError:
        return client
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[len(_MAPPED) :])
    return socket.inet_ntop(socket.AF_INET6, packed[:_NETWORK] + bytes(_NETWORK)) + "/64"


def _filled(standing: bytes, quotas: Iterable[Quota]) -> Header:
    values: tuple[int, ...] = ()
    for remaining, reset in quotas:
        values += (remaining, -(-reset // MICROSECONDS))
    return b"ratelimit", standing % values


def _usage(limit: _Limit, usage: Usage) -> LimitUsage:
    fullest = [(each.key.removeprefix(limit.prefix), each.used) for each in usage.fullest]
    return LimitUsage(limit.name, limit.settings, usage.keys, fullest)


def _compile(pattern: str) -> Callable[[bytes], re.Match[bytes] | None]:
    """What tells whether a canonical path fits."""
    segments = [
        b"[^/]+" if segment == "*" else re.escape(canonical(segment.encode()))
        for segment in pattern.rstrip("/").split("/")
    ]
    if pattern.rstrip("/").endswith("*"):
        return re.compile(b"/".join([*segments[:-1], b"."])).match
    return re.compile(b"/".join(segments) + b"/?").fullmatch
