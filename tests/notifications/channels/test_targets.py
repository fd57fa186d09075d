"""The guard against addresses in private networks."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.errors import InvalidError
from signalbox.infra.http import Origin
from signalbox.notifications.channels import ChannelError
from signalbox.notifications.channels.targets import (
    PrivateTargetError,
    Target,
    is_public,
    named_target,
    parse_target,
    pin,
    public_target,
    secret_parts,
)

HTTPS = Origin("https", "a.example", 443)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://a.example", Target(HTTPS, b"/")),
        ("https://a.example/", Target(HTTPS, b"/")),
        ("https://a.example/x/", Target(HTTPS, b"/x/")),
        ("https://a.example/x?sig=a%2Fb&c=/d", Target(HTTPS, b"/x?sig=a%2Fb&c=/d")),
        ("https://a.example?x=1", Target(HTTPS, b"/?x=1")),
    ],
)
def test_addresses_keep_their_path_and_query(url: str, target: Target) -> None:
    assert parse_target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example",
        "https://",
        "https://u:p@a.example",
        "https://a.example/#x",
        "https://a.example/?x y",
        "x",
        "https://a.example/?\r\nx: y",
        "https://a.example/\r\nx: y",
        "https://a.example/" + "x" * 2048,
        "file:///x",
    ],
)
async def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidError):
        parse_target(url)
    with pytest.raises(ChannelError) as caught:
        await public_target(url)
    assert caught.value.permanent
    with pytest.raises(ChannelError):
        named_target(url)


PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001:0:7f00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::", "64:ff9b::808:808"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_all_its_forms(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    nat64 = ipaddress.IPv6Address((0x64FF9B << 96) + number)
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) + (number << 80))
    expected = is_public(str(address))
    assert {is_public(f"::ffff:{address}"), is_public(str(nat64)), is_public(str(sixtofour))} == {expected}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "127.1",
        "169.254.169.254",
        "10.0.0.1",
        "0",
        "LOCALHOST.",
    ],
)
async def test_private_targets_are_refused_however_they_are_spelled(host: str) -> None:
    with pytest.raises(ChannelError) as caught:
        await public_target(f"http://{host}:8080/latest/meta-data/?key=value")
    assert isinstance(caught.value, PrivateTargetError) or "has no IP address" in caught.value.message
    assert "meta-data" not in str(caught.value)


async def test_the_connection_is_pinned_to_the_address_that_was_checked() -> None:
    target = await public_target("https://8.8.8.8/x?y=1")
    assert target == Target(Origin("https", "8.8.8.8", 443, "8.8.8.8"), b"/x?y=1")


@pytest.mark.parametrize("addresses", [["8.8.8.8", "10.0.0.1"], ["::1", "8.8.8.8"], ["8.8.8.8", "::ffff:10.0.0.1"]])
def test_one_private_address_is_too_many(addresses: list[str]) -> None:
    with pytest.raises(PrivateTargetError):
        pin(parse_target("https://a.example/"), addresses)


async def test_an_unknown_name_may_be_known_later() -> None:
    with pytest.raises(ChannelError, match="has no IP address") as caught:
        await public_target("https://nowhere.invalid/")
    assert not caught.value.permanent


def test_secret_parts_of_an_address_are_its_path_and_what_looks_like_a_key() -> None:
    slack = parse_target("https://hooks.slack.com/services/T01/B01/abcdefghijklmnopqrstuvwx")
    assert secret_parts(slack) == [
        "services/T01/B01/abcdefghijklmnopqrstuvwx",
        "T01/B01/abcdefghijklmnopqrstuvwx",
        "abcdefghijklmnopqrstuvwx",
    ]
    assert secret_parts(parse_target("https://a.example/billing")) == ["billing"]
