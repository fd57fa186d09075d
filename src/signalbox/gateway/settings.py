"""Settings under ``[gateway]``."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from signalbox.core.errors import InvalidError
from signalbox.infra.http import Timeouts, parse_origin


def _check_url(url: str) -> str:
    try:
        parse_origin(url)
    except InvalidError as error:
        raise ValueError(str(error)) from error
    return url


def _check_path(path: str) -> str:
    if not path.startswith("/") or "?" in path or "#" in path or "//" in path or not path.isascii():
        msg = "starts with / and holds no query, fragment or empty segment, such as /categories"
        raise ValueError(msg)
    if any(segment in {".", ".."} for segment in path.split("/")):
        msg = "holds no dot segments"
        raise ValueError(msg)
    return path


def _check_host(host: str) -> str:
    is_ipv6 = host.startswith("[") and host.endswith("]")
    if not host or "/" in host or (":" in host and not is_ipv6):
        msg = "is a bare host name, without scheme, port or path, such as api.example.com"
        raise ValueError(msg)
    return host.lower().rstrip(".")


Url = Annotated[str, AfterValidator(_check_url)]
PathPattern = Annotated[str, AfterValidator(_check_path)]
HostName = Annotated[str, AfterValidator(_check_host)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]

GIBIBYTE = 1024**3


class UpstreamSettings(BaseModel):
    """One third-party API, ``[[gateway.upstreams]]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Unique; shown in statistics and metrics."""
    url: Url
    """``http`` or ``https`` address that requests are sent to; its path comes before theirs."""
    host: HostName | None = None
    """Requests with this Host belong to this upstream, whatever their path."""
    prefix: PathPattern | None = None
    """Requests whose path lies below this belong to this upstream; the longest prefix wins."""
    strip_prefix: bool = False
    """Whether the prefix is taken off before the request is sent on."""
    routes: list[PathPattern] = []
    """Path templates such as ``/categories/{id}`` under which statistics count, as clients spell the path."""
    access: Literal["open", "token"] = "open"
    """``open``: whoever has the scope ``gateway`` (by default everybody); ``token``: a token with that scope."""
    connect_timeout: Seconds = 5.0
    """Seconds until a connection must stand."""
    read_timeout: Seconds = 60.0
    """Seconds that the upstream may be silent."""
    total_timeout: Seconds | None = None
    """Seconds that a whole call may take; unset: as long as data flows."""
    max_body: Annotated[int, Field(ge=0)] = GIBIBYTE
    """Largest request body in bytes."""

    @property
    def timeouts(self) -> Timeouts:
        """The three timeouts as the HTTP client takes them."""
        return Timeouts(connect=self.connect_timeout, read=self.read_timeout, total=self.total_timeout)

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
        places: dict[tuple[str | None, str | None], str] = {}
        for upstream in self.upstreams:
            place = (upstream.host, upstream.prefix and upstream.prefix.rstrip("/"))
            if place == (None, None):
                continue
            other = places.setdefault(place, upstream.name)
            if other != upstream.name:
                msg = f"the upstreams {other!r} and {upstream.name!r} claim the same host and prefix"
                raise ValueError(msg)
        return self
