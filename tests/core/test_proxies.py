from dataclasses import dataclass
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.proxies import TrustedProxies

TRUSTED = [ip_network(text) for text in ("10.0.0.0/8", "192.0.2.7/32", "fd00::/8")]
PROXIES = st.sampled_from(["10.0.0.1", "10.255.255.255", "192.0.2.7", "fd00::1", "fdff:1::2"])
STRANGERS = st.sampled_from(["203.0.113.9", "11.0.0.1", "192.0.2.8", "9.255.255.255", "2001:db8::1", "fe00::1"])
NOISE = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=20)


@dataclass(frozen=True)
class Way:
    """A request from ``client`` through ``proxies``, the first of which got ``written`` from it."""

    client: str
    proxies: list[str]
    written: list[str]

    def headers(self, spell: st.DataObject) -> list[tuple[bytes, bytes]]:
        """What the hub gets: each proxy has added whom it heard."""
        seen = [spell.draw(st.sampled_from(spellings(each))) for each in (self.client, *self.proxies[:-1])]
        values = [*self.written, ", ".join(seen)]
        return [(b"x-forwarded-for", value.encode("latin-1")) for value in values]


WAYS = st.builds(
    Way,
    client=STRANGERS,
    proxies=st.lists(PROXIES, min_size=1, max_size=4),
    written=st.lists(
        st.one_of(NOISE, STRANGERS, PROXIES, st.just("unknown"), st.just("10.0.0.1, 10.0.0.2")), max_size=3
    ),
)


def spellings(address: str) -> list[str]:
    """The ways in which proxies write an address."""
    if ":" in address:
        return [address, f"[{address}]", f"[{address}]:443", address.upper()]
    return [address, f"{address}:51234"]


@given(WAYS, st.data())
def test_what_a_client_writes_is_never_believed(way: Way, data: st.DataObject) -> None:
    proxies = TrustedProxies(TRUSTED)
    assert proxies.client(way.proxies[-1], way.headers(data)) == way.client


@given(WAYS, st.data())
def test_what_a_client_writes_is_not_believed_of_forwarded_either(way: Way, data: st.DataObject) -> None:
    seen = [
        f'for="{data.draw(st.sampled_from(spellings(each)))}";proto=http' for each in (way.client, *way.proxies[:-1])
    ]
    values = [*way.written, *(f"for={each}" for each in way.written), ", ".join(seen)]
    headers = [(b"forwarded", value.encode("latin-1")) for value in values]
    assert TrustedProxies(TRUSTED).client(way.proxies[-1], headers) == way.client


@given(WAYS, st.data())
def test_a_stranger_is_itself_whatever_it_writes(way: Way, data: st.DataObject) -> None:
    assert TrustedProxies(TRUSTED).client(way.client, way.headers(data)) == way.client


@given(WAYS, st.data())
def test_nobody_is_believed_where_no_proxy_is_trusted(way: Way, data: st.DataObject) -> None:
    peer = way.proxies[-1]
    assert TrustedProxies([]).client(peer, way.headers(data)) == peer


@pytest.mark.parametrize(
    ("values", "client"),
    [
        ([], "10.0.0.1"),
        ([b""], "10.0.0.1"),
        ([b"unknown"], "10.0.0.1"),
        ([b"203.0.113.9, _hidden, 10.0.0.2"], "10.0.0.2"),
        ([b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ([b"203.0.113.9,10.0.0.2"], "203.0.113.9"),
        ([b"203.0.113.9", b"10.0.0.2"], "203.0.113.9"),
        ([b"1.2.3.4, 203.0.113.9"], "203.0.113.9"),
        ([b"[2001:db8::1]:8080"], "2001:db8::1"),
        ([b"2001:DB8:0::1"], "2001:db8::1"),
        ([b"::ffff:203.0.113.9"], "203.0.113.9"),
        ([b"203.0.113.9, ::ffff:10.0.0.2"], "203.0.113.9"),
        ([b"203.0.113.9:99999999"], "203.0.113.9"),
        ([b"203.0.113.9, 1.2.3"], "10.0.0.1"),
        ([b"\xff\xfe"], "10.0.0.1"),
    ],
)
def test_chains(values: list[bytes], client: str) -> None:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value) for value in values)]
    assert TrustedProxies(TRUSTED).client("10.0.0.1", headers) == client


@pytest.mark.parametrize("address", ["10.1.2.3", "192.0.2.7", "fd12::9", "::ffff:10.0.0.1", "::ffff:c000:207"])
def test_trusted_addresses(address: str) -> None:
    assert TrustedProxies(TRUSTED).trusts(address)


@pytest.mark.parametrize(
    "address", ["", "unix", "11.0.0.0", "192.0.2.6", "fe80::1", "::ffff:11.0.0.1", "10.0.0.1 ", "10.0.0.1:80", "10.0.0"]
)
def test_other_addresses(address: str) -> None:
    assert not TrustedProxies(TRUSTED).trusts(address)


def test_answers_stay_right_for_more_addresses_than_are_remembered() -> None:
    proxies = TrustedProxies(TRUSTED)
    for number in range(10_000):
        inner = f"{number % 256}.{number // 256}"
        assert proxies.trusts(f"10.1.{inner}")
        assert not proxies.trusts(f"11.1.{inner}")
    assert len(proxies._known) <= 4_096


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (b"for=1.2.3.4", "1.2.3.4"),
        (b'for=6.6.6.6, For="1.2.3.4:8080";proto=https', "1.2.3.4"),
        (b'proto=http;for="[2001:db8::1]:80"', "2001:db8::1"),
        (b"for=1.2.3.4, for=10.0.0.9", "1.2.3.4"),
        (b"for=_hidden", "10.0.0.1"),
        (b"by=1.2.3.4", "10.0.0.1"),
        (b'host="a;for=6.6.6.6";for=1.2.3.4', "1.2.3.4"),
        (b'for=1.2.3.4;host="a, for=6.6.6.6"', "10.0.0.1"),
        (b'for=1.2.3.4;host="a, for=6.6.6.6;b=\\"c"', "10.0.0.1"),
        (b'for=6.6.6.6;a=", for=1.2.3.4;host="b"', "1.2.3.4"),
    ],
)
def test_forwarded_tells_where_the_other_header_is_missing(forwarded: bytes, client: str) -> None:
    proxies = TrustedProxies([ip_network("10.0.0.0/8")])
    assert proxies.client("10.0.0.1", [(b"forwarded", forwarded)]) == client
    both = [(b"forwarded", forwarded), (b"x-forwarded-for", b"9.9.9.9")]
    assert proxies.client("10.0.0.1", both) == "9.9.9.9"
    assert proxies.client("8.8.8.8", [(b"forwarded", forwarded)]) == "8.8.8.8"
