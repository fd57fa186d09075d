import re
from typing import Any

import pytest
from pydantic import ValidationError

from signalbox.app.load import Sources, load
from signalbox.core.errors import SettingsError
from signalbox.gateway.settings import GatewaySettings, UpstreamSettings

URL = "http://api.test"


def upstream(**more: Any) -> UpstreamSettings:
    return UpstreamSettings.model_validate({"name": "shop", "url": URL, **more})


def gateway(*upstreams: dict[str, Any], **more: Any) -> GatewaySettings:
    return GatewaySettings.model_validate({"upstreams": [{"url": URL, **each} for each in upstreams], **more})


def test_defaults() -> None:
    made = upstream()
    assert (made.access, made.strip_prefix, made.routes, made.max_body) == ("open", False, [], 1024**3)
    assert (made.timeouts.connect, made.timeouts.read, made.timeouts.total) == (5, 60, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://api.test:8443/v1/a%20b/"},
        {"url": "http://[::1]:8000"},
        {"host": "API.Example.com."},
        {"host": "[::1]"},
        {"prefix": "/"},
        {"prefix": "/v1/shop-a_b.c~d"},
        {"prefix": "/a%2Fb/@me:x"},
        {"routes": ["/", "/categories/{id}", "/a/{b}.{c}/d%20e"]},
        {"prefix": "/a", "strip_prefix": True},
        {"total_timeout": 0.5, "max_body": 0},
        {"url": None, "urls": ["http://a.test", "http://b.test/base"]},
        {"limits": [{"by": "ip", "rate": "50/s"}], "cache": {"enabled": True}, "breaker": {"enabled": False}},
    ],
)
def test_what_is_allowed(fields: dict[str, Any]) -> None:
    upstream(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "x" * 65},
        {"url": "ftp://api.test"},
        {"url": "api.test"},
        {"url": "http://user:secret@api.test"},
        {"url": "http://api.test?x=1"},
        {"url": "http://api.test/a b"},
        {"url": "http://api.test/a/../b"},
        {"url": "http://api.test/\u00e9"},
        {"host": "http://api.test"},
        {"host": "api.test:80"},
        {"host": "*.test"},
        {"host": "b\u00fccher.test"},
        {"host": ""},
        {"prefix": "shop"},
        {"prefix": "/a//b"},
        {"prefix": "/a?b"},
        {"prefix": "/a/../b"},
        {"prefix": "/a/%2e%2E"},
        {"prefix": "/a b"},
        {"prefix": "/100%"},
        {"prefix": "/{id}"},
        {"prefix": "/\u00e9"},
        {"routes": ["categories"]},
        {"routes": ["/a/{id"]},
        {"routes": ["/a/./b"]},
        {"strip_prefix": True},
        {"access": "closed"},
        {"read_timeout": 0},
        {"connect_timeout": -1},
        {"total_timeout": 100_000},
        {"max_body": -1},
        {"colour": "red"},
    ],
)
def test_what_is_not(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        upstream(**fields)
    (error,) = caught.value.errors()
    assert not error["loc"] or error["loc"][0] in fields


def test_hosts_are_compared_in_lower_case() -> None:
    assert upstream(host="API.Example.com.").host == "api.example.com"


def test_names_are_unique() -> None:
    with pytest.raises(ValidationError, match="two upstreams have the name 'a'"):
        gateway({"name": "a", "prefix": "/a"}, {"name": "a", "prefix": "/b"})


def test_the_default_is_an_upstream() -> None:
    assert gateway({"name": "a"}, default="a").default == "a"
    with pytest.raises(ValidationError, match="known are: a"):
        gateway({"name": "a"}, default="b")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"prefix": "/a"}, {"prefix": "/a/"}),
        ({"prefix": "/a"}, {"prefix": "/%61"}),
        ({"prefix": "/a%2Fb"}, {"prefix": "/a%2fb"}),
        ({"host": "a.test"}, {"host": "A.test."}),
        ({"host": "a.test"}, {"host": "a.test", "prefix": "/"}),
    ],
)
def test_no_two_upstreams_claim_the_same_place(one: dict[str, Any], other: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="claim the same"):
        gateway({"name": "x", **one}, {"name": "y", **other})


def test_places_may_lie_inside_each_other() -> None:
    gateway(
        {"name": "a"},
        {"name": "b"},
        {"name": "c", "prefix": "/a"},
        {"name": "d", "prefix": "/a/b"},
        {"name": "e", "host": "a.test"},
        {"name": "f", "host": "a.test", "prefix": "/a"},
    )


def test_trusted_proxies_are_networks() -> None:
    assert len(gateway(trusted_proxies=["10.0.0.0/8", "::1", "192.0.2.1"]).trusted_proxies) == 3
    with pytest.raises(ValidationError):
        gateway(trusted_proxies=["10.0.0.1/8"])


def test_a_wrong_setting_is_named_with_its_place() -> None:
    flags = {"gateway": {"upstreams": [{"name": "a", "url": URL}, {"name": "b", "url": "ftp://x"}]}}
    with pytest.raises(SettingsError) as caught:
        load(flags, Sources())
    (fault,) = caught.value.faults
    assert fault.where == "gateway.upstreams[1].url"
    assert "http://" in fault.message
    assert fault.value == "'ftp://x'"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"urls": ["http://a.test"]}, "either url, or urls"),
        ({"url": None}, "either url, or urls"),
        ({"url": None, "urls": ["http://a.test", "http://a.test"]}, "stands there twice"),
        ({"url": None, "urls": ["ftp://a.test"]}, "starts with http:// or https://"),
        ({"limits": [{"by": "path", "rate": "1/s"}]}, "needs a pattern"),
        ({"limits": [{"by": "ip", "rate": "many"}]}, "many"),
        ({"retry": {"statuses": [404]}}, "502"),
        ({"breaker": {"failure_ratio": 2}}, "less than or equal to 1"),
    ],
)
def test_what_an_upstream_needs_is_said(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(reason)):
        upstream(**fields)
