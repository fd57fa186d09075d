"""Whom a request really comes from, where trusted proxies stand before the hub."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PAIR = r'([\w-]+)=("[^"\\]*"|[^",;\\\s]*)'
_PAIRS = re.compile(rf"\s*{_PAIR}(?:\s*;\s*{_PAIR})*\s*")
_REMEMBERED = 4_096


class TrustedProxies:
    """Networks whose account of a request's way is believed."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self.are_any = bool(networks)
        """Whether anybody is trusted at all."""
        self._known: dict[str, bool] = {}

    def trusts(self, address: str) -> bool:
        """Whether the address lies in one of the networks; False for what is no address."""
        if not self._networks:
            return False
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[address] = self._check(address)
        return known

    def client(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The address that the request came from.

        The chain of ``X-Forwarded-For``, without one that of ``Forwarded`` (RFC 7239), is followed from its end,
        which the nearest proxy wrote, and only as long as trusted proxies speak; what a client wrote at its
        beginning is thus never believed.
        """
        if not self.trusts(peer):
            return peer
        chain = _chain(headers)
        client = peer
        for hop in reversed(chain):
            address = _bare(hop)
            if address is None:
                break
            client = address
            if not self.trusts(client):
                break
        return client

    def _check(self, address: str) -> bool:
        try:
            parsed = _unmapped(ip_address(address))
        except ValueError:
            return False
        return any(parsed in network for network in self._networks if network.version == parsed.version)


def _chain(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The addresses that a request came by, as its headers tell, the first client first."""
    said: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in {b"x-forwarded-for", b"forwarded"}:
            said.setdefault(name, []).append(value)
    if b"x-forwarded-for" in said:
        return [part.strip() for part in b",".join(said[b"x-forwarded-for"]).decode("latin-1").split(",")]
    elements = b",".join(said.get(b"forwarded", ())).decode("latin-1").split(",")
    return [_for(element) for element in elements]


def _for(element: str) -> str:
    """Whom an element of ``Forwarded`` names; nobody where a client may have smuggled in parts of it.

    Proxies also write the Host header there, in quotes: commas and escapes in it could look like an element.
    """
    if _PAIRS.fullmatch(element) is None:
        return ""
    pairs: dict[str, str] = {name.lower(): value.strip('"') for name, value in re.findall(_PAIR, element)}
    return pairs.get("for", "")


def _bare(hop: str) -> str | None:
    """The address of a hop without brackets and port; None where it is none."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(_unmapped(ip_address(hop)))
    except ValueError:
        return None


def _unmapped(address: Address) -> Address:
    """IPv4 where an IPv6 address only wraps one, so that one client has one spelling."""
    return getattr(address, "ipv4_mapped", None) or address
