"""Where a channel sends to, and the guard against addresses that a message chose.

Addresses in the settings are the operator's own and may lie anywhere. An address that came with a request is not: it
could point into the private network, at the hub's neighbours or a cloud's metadata service. ``public_target`` resolves
it, checks every address that the name has, and pins the connection to one that was checked, so that a name server
cannot change its mind in between.
"""

import asyncio
import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from signalbox.core.errors import InvalidError
from signalbox.core.secrets import Secret
from signalbox.infra.http import Origin, parse_origin
from signalbox.notifications.channels import ChannelError

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_TARGET = re.compile(r"[!-~]*")
_BETWEEN = re.compile(r"[/?&=]")
_MIN_KEY = 12
"""Characters from which on a part of a path may be a key; shorter ones are ordinary words."""
MAX_URL = 2_048
RESOLVE_TIMEOUT = 5.0


class PrivateTargetError(ChannelError):
    """A message named an address that does not lie in the public internet."""

    code = "private_target"


class Target(NamedTuple):
    """An address of HTTP."""

    origin: Origin
    path: bytes
    """Path and query as sent."""


def parse_target(url: str) -> Target:
    """Where an ``http`` or ``https`` address points to, its query included.

    Raises:
        InvalidError: the address has another scheme, no host, a password, a fragment, or is too long.
    """
    base, mark, query = url.partition("?")
    if len(url) > MAX_URL or "#" in url or not _TARGET.fullmatch(query):
        msg = f"an address here is ASCII without spaces, has no fragment and at most {MAX_URL} characters"
        raise InvalidError(msg)
    origin, path = parse_origin(base)
    slash = b"/" if base.endswith("/") or not path else b""
    return Target(origin, path + slash + (mark + query).encode())


def _check(secret: Secret) -> Secret:
    parse_target(secret.reveal())
    return secret


SecretUrl = Annotated[Secret, AfterValidator(_check)]
"""A field of settings that holds an ``http`` or ``https`` address with a secret in it."""


def secret_parts(target: Target) -> list[str]:
    """What of an address must not show, the longest first: its path, and every part that may be a key by itself."""
    path = target.path.decode()
    rest = path.lstrip("/").partition("/")[2]
    keys = [part for part in _BETWEEN.split(path) if len(part) >= _MIN_KEY]
    return sorted({path.lstrip("/"), *([rest] if "/" in rest else []), *keys}, key=len, reverse=True)


def is_public(address: str) -> bool:
    """Whether an IP address is reachable from the whole internet, whatever form it is written in.

    IPv4 addresses within IPv6 ones (mapped, 6to4, NAT64) are judged as what they are.
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = _inner(ip)
        return _is_public(inner) if inner is not None else ip in _UNICAST and _is_public(ip)
    return _is_public(ip)


def named_target(url: str) -> Target:
    """An address from a message that may lie anywhere.

    Raises:
        ChannelError: it is not an address.
    """
    try:
        return parse_target(url)
    except InvalidError as error:
        msg = f"the message names no usable address: {error}"
        raise ChannelError(msg, permanent=True) from error


async def public_target(url: str) -> Target:
    """An address from a message, resolved, checked and pinned to an IP address.

    Raises:
        ChannelError: it is not an address, or its name has no IP address at present.
        PrivateTargetError: any of its IP addresses is private.
    """
    target = named_target(url)
    return pin(target, await _resolve(target.origin))


def pin(target: Target, addresses: Sequence[str]) -> Target:
    """The target, reached at the first of the IP addresses that its host has.

    Raises:
        PrivateTargetError: one of them is private; a name that has both is no honest mistake.
    """
    if not all(map(is_public, addresses)):
        msg = f"the message names an address at {target.origin.host}, which lies in a private network"
        raise PrivateTargetError(msg, permanent=True)
    return target._replace(origin=target.origin.pinned(addresses[0]))


async def _resolve(origin: Origin) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT):
            found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        msg = f"the name {origin.host} was not resolved in time"
        raise ChannelError(msg) from error
    except (OSError, UnicodeError) as error:
        msg = f"{origin.host} has no IP address: {getattr(error, 'strerror', None) or error}"
        raise ChannelError(msg) from error
    return [str(place[0]) for *_, place in found]


def _inner(ip: IPv6Address) -> IPv4Address | None:
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
