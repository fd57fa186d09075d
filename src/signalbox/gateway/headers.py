"""Which headers cross the gateway, and those that name the way a request came (RFC 9110, RFC 7239)."""

import re
from collections.abc import Iterable

from signalbox.core.ids import is_request_id, is_traceparent, new_request_id, new_traceparent
from signalbox.gateway.errors import GatewayLoopError

Header = tuple[bytes, bytes]
Special = dict[bytes, list[bytes]]
"""Values of the headers that need a decision, by name."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers about one connection (RFC 9110, 7.6.1, and those of RFC 2616 that are still met)."""

_REMADE = frozenset(
    {b"host", b"content-length", b"expect", b"forwarded", b"via", b"x-request-id", b"traceparent", b"tracestate"}
)
_SPECIAL = HOP_BY_HOP | _REMADE | {b"authorization", b"token", b"app-name"}
_RESPONSE_SPECIAL = HOP_BY_HOP | {b"via", b"x-request-id"}

_USUAL = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNDERSCORE = ord("_")
_VIA = b"1.1 signalbox"
_OUR_VIA = b"via", _VIA
_MOST_PASSES = 8
"""Times that a request may come by: more than that is a loop of the configuration."""
_LONGEST_NAME = 255
"""Bytes of a host name (RFC 1035, 2.3.4); longer ones are not remembered."""


REMEMBERED_WAYS = 4_096


Way = tuple[str, str, bytes]
"""How a request reached the hub: the address that the connection comes from, the scheme, the host asked for."""


def split_request(headers: Iterable[Header]) -> tuple[list[Header], dict[bytes, list[bytes]]]:
    """The headers that pass unchanged, and the values of those that need a decision, by name."""
    passed: list[Header] = []
    special: dict[bytes, list[bytes]] = {}
    for header in headers:
        name = header[0]
        if name in _SPECIAL or name.startswith(b"x-forwarded-"):
            special.setdefault(name, []).append(header[1])
        elif _UNDERSCORE in name and _is_disguised(name.replace(b"_", b"-")):
            continue
        else:
            passed.append(header)
    if b"connection" in special:
        named = connection_options(special[b"connection"])
        if named:
            passed = [header for header in passed if header[0] not in named]
            special = {name: values for name, values in special.items() if name not in named or name in _REMADE}
    return passed, special


def _is_disguised(name: bytes) -> bool:
    """Whether servers that write ``-`` as ``_`` (CGI, WSGI) would take the header for one that is made here."""
    return name in _REMADE or name in HOP_BY_HOP or name.startswith(b"x-forwarded-")


def connection_options(values: Iterable[bytes]) -> set[bytes]:
    """The headers that ``Connection`` values declare hop-by-hop, besides those that always are."""
    named: set[bytes] = set()
    for value in values:
        if value not in _USUAL:
            named.update(option.strip().lower() for option in value.split(b","))
    return named and named - HOP_BY_HOP - {b"", b"close"}


class WayHeaders:
    """Makes ``Via``, ``Forwarded`` and ``X-Forwarded-*``; remembers them for clients that say nothing themselves."""

    def __init__(self) -> None:
        self._known: dict[Way, list[Header]] = {}

    def of(self, special: dict[bytes, list[bytes]], way: Way, *, trusted: bool) -> list[Header]:
        """The headers as sent upstream.

        What the request says of its way is kept and continued if a trusted proxy sent it, else replaced.

        Raises:
            GatewayLoopError: the request goes round in a circle.
        """
        if b"via" in special and b",".join(special[b"via"]).count(_VIA) >= _MOST_PASSES:
            msg = f"this request has come by {_MOST_PASSES} times already; an upstream leads back to this hub"
            raise GatewayLoopError(msg)
        if trusted or b"via" in special or len(way[2]) > _LONGEST_NAME:
            return _way_headers(special, way, trusted=trusted)
        known = self._known.get(way)
        if known is None:
            if len(self._known) >= REMEMBERED_WAYS:
                self._known.clear()
            known = self._known[way] = _way_headers({}, way, trusted=False)
        return known


def _way_headers(special: dict[bytes, list[bytes]], way: Way, *, trusted: bool) -> list[Header]:
    said = special if trusted else {}
    peer, scheme, host = way[0].encode(), way[1].encode(), way[2]
    forwarded = b"for=%b;host=%b;proto=%b" % (_node(peer), _quoted(host), scheme)
    made = [
        (b"via", _append(special.get(b"via"), _VIA)),
        (b"forwarded", _append(said.get(b"forwarded"), forwarded)),
        (b"x-forwarded-for", _append(said.get(b"x-forwarded-for"), peer)),
        (b"x-forwarded-host", said.get(b"x-forwarded-host", [host])[0]),
        (b"x-forwarded-proto", said.get(b"x-forwarded-proto", [scheme])[0]),
    ]
    known = {name for name, _ in made}
    made += [
        (name, value)
        for name, values in said.items()
        if name not in known and name.startswith(b"x-forwarded-")
        for value in values
    ]
    return made


def trace_headers(special: dict[bytes, list[bytes]]) -> list[Header]:
    """``X-Request-ID`` first, then ``traceparent`` and ``tracestate``: passed where valid, else made.

    Where both are made, the request id is the trace id.
    """
    if b"x-request-id" not in special and b"traceparent" not in special:
        parent = new_traceparent()
        return [(b"x-request-id", parent[3:35]), (b"traceparent", parent)]
    request_id = special.get(b"x-request-id", (b"",))[0]
    parents = special.get(b"traceparent", ())
    if len(parents) == 1 and is_traceparent(parents[0]):
        made = [(b"traceparent", parents[0])]
        made += [(b"tracestate", value) for value in special.get(b"tracestate", ())]
        fresh = new_request_id()
    else:
        parent = new_traceparent()
        made, fresh = [(b"traceparent", parent)], parent[3:35]
    return [(b"x-request-id", request_id if is_request_id(request_id) else fresh), *made]


def response_headers(headers: list[Header], *, status: int, request_id: bytes) -> list[Header]:
    """An answer's headers as passed to the client; repeated ones stay repeated, in their order."""
    passed: list[Header] = []
    via: list[bytes] = []
    options: list[bytes] = []
    for header in headers:
        name = header[0]
        if name not in _RESPONSE_SPECIAL:
            passed.append(header)
        elif name == b"connection":
            if header[1] not in _USUAL:
                options.append(header[1])
        elif name == b"via":
            via.append(header[1])
    if options and (named := connection_options(options)):
        passed = [header for header in passed if header[0] not in named or header[0] == b"content-length"]
    if status in (204, 304):
        passed = [header for header in passed if header[0] != b"content-length"]
    passed.append((b"via", _append(via, _VIA)) if via else _OUR_VIA)
    passed.append((b"x-request-id", request_id))
    return passed


def _append(values: list[bytes] | None, last: bytes) -> bytes:
    return last if not values else b", ".join([*values, last])


def _node(address: bytes) -> bytes:
    """An address as a ``Forwarded`` node: IPv6 in brackets and quotes (RFC 7239, 6)."""
    return b'"[%b]"' % address if b":" in address else address or b"unknown"


def _quoted(host: bytes) -> bytes:
    """A host as the value of a ``Forwarded`` parameter: quoted unless it is a token, so that it adds no parameter."""
    return host if _TOKEN.fullmatch(host) else b'"%b"' % host.translate(None, b'"\\')
