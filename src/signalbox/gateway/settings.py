"""Settings under ``[gateway]``."""

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from signalbox.core.errors import InvalidError
from signalbox.gateway.breaker import BreakerSettings
from signalbox.gateway.cache_rules import CacheSettings
from signalbox.gateway.limits import Limits
from signalbox.gateway.paths import canonical, sanitize_path
from signalbox.gateway.retries import RetrySettings
from signalbox.gateway.targets import TargetSettings
from signalbox.infra.http import Timeouts, parse_origin

_PARAMETER = re.compile(r"\{[^{}/]*\}")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


def _check_url(url: str) -> str:
    try:
        _, base = parse_origin(url)
    except InvalidError as error:
        raise ValueError(str(error)) from error
    except UnicodeEncodeError:
        base = b" "
    if sanitize_path(base) != base:
        msg = "holds characters that must be percent-encoded, or dot segments"
        raise ValueError(msg)
    return url


def _check_path(path: str) -> str:
    if not path.startswith("/") or "?" in path or "#" in path or "//" in path or not path.isascii():
        msg = "starts with / and holds no query, fragment or empty segment, such as /categories"
        raise ValueError(msg)
    if sanitize_path(path.encode()) != path.encode():
        msg = "holds no dot segments, and other characters than those of a path only percent-encoded"
        raise ValueError(msg)
    return path


def _check_template(template: str) -> str:
    _check_path(_PARAMETER.sub("x", template))
    return template


def _check_host(host: str) -> str:
    if _HOST.fullmatch(host) is None:
        msg = "is a bare host name, without scheme, port or path, such as api.example.com"
        raise ValueError(msg)
    return host.lower().rstrip(".")


def _check_several(urls: list[str]) -> list[str]:
    twice = sorted({url for url in urls if urls.count(url) > 1})
    if twice:
        msg = f"{twice[0]} stands there twice"
        raise ValueError(msg)
    return urls


Url = Annotated[str, AfterValidator(_check_url)]
PathPrefix = Annotated[str, AfterValidator(_check_path)]
PathTemplate = Annotated[str, AfterValidator(_check_template)]
HostName = Annotated[str, AfterValidator(_check_host)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]

GIBIBYTE = 1024**3


class UpstreamSettings(BaseModel):
    """One third-party API, ``[[gateway.upstreams]]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Unique; shown in statistics and metrics."""
    url: Url | None = None
    """``http`` or ``https`` address that requests are sent to; its path comes before theirs."""
    urls: Annotated[list[Url], AfterValidator(_check_several)] = []
    """Instead of ``url``: addresses of several servers that do the same, which share the calls."""
    host: HostName | None = None
    """Requests with this Host belong to this upstream, whatever their path."""
    prefix: PathPrefix | None = None
    """Requests whose path lies below this belong to this upstream; the longest prefix wins."""
    strip_prefix: bool = False
    """Whether the prefix is taken off before the request is sent on."""
    routes: list[PathTemplate] = []
    """Path templates such as ``/categories/{id}`` under which statistics count, as clients spell the path."""
    access: Literal["open", "token"] = "open"
    """``open``: whoever has the scope ``gateway`` (by default everybody); ``token``: a token with that scope."""
    connect_timeout: Seconds = 5.0
    """Seconds until a connection must stand."""
    read_timeout: Seconds = 60.0
    """Seconds that the upstream may be silent."""
    total_timeout: Seconds | None = None
    """Seconds that a call may take from when it is sent on; unset: as long as data flows."""
    probe_path: PathPrefix = "/"
    """What a manager's probe asks each server for, behind the path of its address."""
    max_body: Annotated[int, Field(ge=0)] = GIBIBYTE
    """Largest request body in bytes."""

    limits: Limits = []
    """How often callers may call."""
    breaker: BreakerSettings = BreakerSettings()
    """When calls are refused because too many have failed."""
    targets: TargetSettings = TargetSettings()
    """How calls are shared by several ``urls``."""
    retry: RetrySettings = RetrySettings()
    """Which failed calls are sent again."""

    cache: CacheSettings = CacheSettings()
    """Which answers are kept and given again."""

    @property
    def all_urls(self) -> list[str]:
        """The addresses of its servers."""
        return self.urls if self.url is None else [self.url]

    @property
    def timeouts(self) -> Timeouts:
        """The three timeouts as the HTTP client takes them."""
        return Timeouts(connect=self.connect_timeout, read=self.read_timeout, total=self.total_timeout)

    @model_validator(mode="after")
    def _url_or_urls(self) -> "UpstreamSettings":
        if (self.url is None) == (not self.urls):
            msg = "set either url, or urls where several servers share the calls"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _prefix_to_strip(self) -> "UpstreamSettings":
        if self.strip_prefix and self.prefix is None:
            msg = "strip_prefix needs a prefix"
            raise ValueError(msg)
        return self


class GatewaySettings(BaseModel):
    """The gateway, ``[gateway]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    upstreams: list[UpstreamSettings] = []
    """The third-party APIs."""
    default: str | None = None
    """Name of the upstream that takes what no host or prefix claims; unset: 404."""
    trusted_proxies: list[IPv4Network | IPv6Network] = []
    """Networks whose ``Forwarded`` and ``X-Forwarded-*`` headers are believed, such as 10.0.0.0/8."""
    statistics: bool = True
    """Whether calls are counted and kept."""

    @model_validator(mode="after")
    def _names_fit(self) -> "GatewaySettings":
        names = [upstream.name for upstream in self.upstreams]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"two upstreams have the name {twice[0]!r}"
            raise ValueError(msg)
        if self.default is not None and self.default not in names:
            msg = f"default names the upstream {self.default!r}; known are: {', '.join(names) or 'none'}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _places_differ(self) -> "GatewaySettings":
        places: dict[tuple[str | None, bytes], str] = {}
        for upstream in self.upstreams:
            if upstream.host is None and upstream.prefix is None:
                continue
            place = (upstream.host, canonical((upstream.prefix or "/").encode()).rstrip(b"/"))
            other = places.setdefault(place, upstream.name)
            if other != upstream.name:
                msg = f"the upstreams {other!r} and {upstream.name!r} claim the same host and prefix"
                raise ValueError(msg)
        return self
