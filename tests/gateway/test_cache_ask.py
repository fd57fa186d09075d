from typing import Any

import pytest

from signalbox.gateway.cache_ask import BYPASS, MISS, Ask, origin_of
from signalbox.gateway.cache_control import NOTHING

CREDENTIALS = frozenset({b"authorization", b"cookie"})


def asked(*headers: tuple[bytes, bytes], method: bytes = b"GET") -> Ask:
    ask = Ask(method, b"/a", origin=b"http://hub.test", headers=list(headers))
    ask.read(CREDENTIALS)
    return ask


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"accept", b"a/b")], {"plain": True, "credentials": False, "why": MISS, "may_share": True}),
        ([(b"cookie", b"a=1")], {"plain": True, "credentials": True, "may_share": True}),
        ([(b"cache-control", b"max-stale=5")], {"plain": False, "may_share": True}),
        ([(b"cache-control", b"x=1")], {"plain": True, "directives": NOTHING}),
        ([(b"cache-control", b"no-cache")], {"plain": False, "may_share": False}),
        ([(b"cache-control", b"max-age=3"), (b"cache-control", b"no-store")], {"plain": False, "may_share": False}),
        ([(b"pragma", b"a, No-Cache")], {"directives": NOTHING._replace(no_cache=True), "may_share": False}),
        ([(b"pragma", b"no-cache"), (b"cache-control", b"x")], {"directives": NOTHING}),
        ([(b"pragma", b"x")], {"directives": NOTHING, "plain": True}),
        ([(b"if-none-match", b"*")], {"plain": False, "may_share": True, "why": MISS}),
        ([(b"if-range", b"x")], {"why": BYPASS}),
        ([(b"x-method-override", b"PUT")], {"why": BYPASS}),
    ],
)
def test_what_a_request_says_to_caches(headers: list[tuple[bytes, bytes]], expected: dict[str, Any]) -> None:
    ask = asked(*headers)
    assert {name: getattr(ask, name) for name in expected} == expected


def test_head_waits_for_nobody() -> None:
    assert not asked(method=b"HEAD").may_share


def test_requests_with_credentials_wait_among_themselves() -> None:
    assert asked().flight_key != asked((b"cookie", b"a=1")).flight_key


@pytest.mark.parametrize(("trusted", "origin"), [(True, b"https://shop.test"), (False, b"http://hub.test:8080")])
def test_only_a_trusted_proxy_says_what_was_asked(trusted: bool, origin: bytes) -> None:
    special = {b"x-forwarded-proto": [b"https"], b"x-forwarded-host": [b"shop.test"]}
    assert origin_of(special, ("192.0.2.1", "http", b"hub.test:8080"), trusted=trusted) == origin
    assert origin_of({}, ("192.0.2.1", "http", b"hub.test:8080"), trusted=trusted) == b"http://hub.test:8080"
