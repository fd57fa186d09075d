import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.gateway.paths import canonical, sanitize_path
from signalbox.gateway.routing import UNMATCHED, RoutingTable, Upstream, bare_host
from signalbox.gateway.settings import GatewaySettings, UpstreamSettings

names = st.lists(st.sampled_from(["a", "b", "ab", "a%2Fb", "c"]), max_size=4)
prefixes = names.map(lambda parts: "/" + "/".join(parts))


def upstream(name: str, **more: Any) -> UpstreamSettings:
    return UpstreamSettings.model_validate({"name": name, "url": "http://api.test/base", **more})


def table(*upstreams: UpstreamSettings, default: str | None = None) -> RoutingTable:
    return RoutingTable(GatewaySettings(upstreams=list(upstreams), default=default))


def found(routes: RoutingTable, path: bytes, host: bytes = b"hub.test") -> str | None:
    owner = routes.find(host, canonical(sanitize_path(path)))
    return None if owner is None else owner.name


@given(st.sets(prefixes, max_size=6), prefixes, st.booleans())
def test_the_longest_prefix_wins(known: set[str], path: str, with_default: bool) -> None:
    default = [upstream("default")] if with_default else []
    routes = table(
        *(upstream(f"u{number}", prefix=prefix) for number, prefix in enumerate(sorted(known))),
        *default,
        default="default" if with_default else None,
    )
    fitting = [
        (len(prefix.rstrip("/")), f"u{number}")
        for number, prefix in enumerate(sorted(known))
        if path == prefix or path.startswith(prefix.rstrip("/") + "/")
    ]
    expected = max(fitting)[1] if fitting else "default" if with_default else None
    assert found(routes, path.encode()) == expected


def test_prefixes_end_at_segments() -> None:
    routes = table(upstream("shop", prefix="/shop"))
    assert found(routes, b"/shop") == found(routes, b"/shop/") == found(routes, b"/shop/a") == "shop"
    assert found(routes, b"/shopping") is None
    assert found(routes, b"/a/shop") is None


def test_a_slash_at_the_end_of_a_prefix_means_nothing() -> None:
    assert found(table(upstream("shop", prefix="/shop/")), b"/shop") == "shop"


def test_the_prefix_of_everything() -> None:
    routes = table(upstream("all", prefix="/"), upstream("a", prefix="/a"))
    assert found(routes, b"/") == found(routes, b"/b") == "all"
    assert found(routes, b"/a/b") == "a"


@pytest.mark.parametrize("host", [b"api.test", b"API.Test", b"api.test:8000", b"api.test.", b"api.test.:80"])
def test_a_host_owns_all_its_paths(host: bytes) -> None:
    routes = table(upstream("host", host="Api.Test"), upstream("shop", prefix="/shop"), upstream("d"), default="d")
    assert routes.owns_host(host)
    assert found(routes, b"/shop/a", host) == found(routes, b"/healthz", host) == "host"
    assert found(routes, b"/shop/a", b"www.api.test") == "shop"


def test_prefixes_below_a_host_are_its_own() -> None:
    routes = table(upstream("a", host="api.test", prefix="/a"), upstream("d"), upstream("b", prefix="/b"), default="d")
    assert found(routes, b"/a/x", b"api.test") == "a"
    assert found(routes, b"/b/x", b"api.test") is None
    assert found(routes, b"/a/x") == "d"


def test_a_host_may_be_an_ipv6_address() -> None:
    assert found(table(upstream("six", host="[::1]")), b"/", b"[::1]:8000") == "six"


def test_nothing_is_found_where_nothing_is_set() -> None:
    assert found(table(), b"/a") is None
    assert not table().owns_host(b"hub.test")


@pytest.mark.parametrize(
    ("host", "bare"), [(b"A.b:1", b"a.b"), (b"[::1]:80", b"[::1]"), (b"a..", b"a"), (b"10.0.0.1:8", b"10.0.0.1")]
)
def test_bare_hosts(host: bytes, bare: bytes) -> None:
    assert bare_host(host) == bare


def test_a_path_without_end_is_routed_at_once() -> None:
    routes = table(upstream("a", prefix="/x/y/z"), upstream("d"), default="d")
    endless = b"/x" * 500_000
    started = time.process_time()
    assert routes.find(b"hub.test", endless) is not None
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "path",
    [
        b"/private",
        b"/private/x",
        b"//private/x",
        b"/%70rivate/x",
        b"/open/../private",
        b"/open/%2e%2E/private",
        b"/./private",
        b"/private%2Fx",
        b"/open%2f..%2fprivate",
        b"/open%5C..%5Cprivate",
        b"/%2fprivate",
        b"/open/..;/private",
        b"/private;v=1/x",
    ],
)
def test_no_spelling_slips_past_a_guarded_prefix(path: bytes) -> None:
    routes = table(upstream("private", prefix="/private", access="token"), upstream("d"), default="d")
    form = canonical(sanitize_path(path))
    owner = routes.find(b"hub.test", form)
    assert owner is not None
    assert routes.needs_token(b"hub.test", form, owner)


@pytest.mark.parametrize("path", [b"/open", b"/privateer", b"/a%2Fb", b"/a;b", b"/x/private"])
def test_other_paths_stay_open(path: bytes) -> None:
    routes = table(upstream("private", prefix="/private", access="token"), upstream("d"), default="d")
    owner = routes.find(b"hub.test", path)
    assert owner is not None
    assert not routes.needs_token(b"hub.test", path, owner)


# -- one upstream -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "path", "query", "target"),
    [
        ({}, b"/a", None, b"/a"),
        ({}, b"/a", b"", b"/a?"),
        ({}, b"/a//b%2Fc", b"x=1&x=2", b"/a//b%2Fc?x=1&x=2"),
        ({"prefix": "/shop"}, b"/shop/a", None, b"/shop/a"),
        ({"prefix": "/shop", "strip_prefix": True}, b"/shop/a", None, b"/a"),
        ({"prefix": "/shop", "strip_prefix": True}, b"/shop", b"q", b"/?q"),
        ({"prefix": "/v1/shop/", "strip_prefix": True}, b"//v1/%73hop//a", None, b"//a"),
        ({"url": "http://api.test/"}, b"/a", None, b"/a"),
    ],
)
def test_targets(more: dict[str, Any], path: bytes, query: bytes | None, target: bytes) -> None:
    assert Upstream(upstream("u", **more)).target(path, query) == target


@given(st.lists(st.sampled_from([b"", b"..", b"%2e%2E", b".", b"a", b"%2F", b"%73hop"]), max_size=8))
def test_no_path_leaves_the_base_of_the_upstream(parts: list[bytes]) -> None:
    own = Upstream(upstream("u", prefix="/shop", strip_prefix=True))
    path = sanitize_path(b"/shop/" + b"/".join(parts))
    target = own.target(path, None)
    assert target.startswith(b"/")
    assert sanitize_path(b"/base" + target) == b"/base" + target


ROUTES = ["/categories/{id}", "/categories/all", "/items/{id}/pictures/{n}.png", "/", "/caf%c3%a9"]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/categories/1", "/categories/{id}"),
        (b"/categories/all", "/categories/{id}"),
        (b"/categories/1/", "/categories/{id}"),
        (b"/categories//1", "/categories/{id}"),
        (b"/%63ategories/%31", "/categories/{id}"),
        (b"/categories/a%2Fb", "/categories/{id}"),
        (b"/categories", UNMATCHED),
        (b"/categories/1/2", UNMATCHED),
        (b"/items/1/pictures/2.png", "/items/{id}/pictures/{n}.png"),
        (b"/items/1/pictures/2xpng", UNMATCHED),
        (b"/", "/"),
        (b"/caf%C3%A9", "/caf%c3%a9"),
    ],
)
def test_routes_are_templates(path: bytes, route: str) -> None:
    own = Upstream(upstream("u", routes=ROUTES))
    assert own.route(canonical(path)) == route


def test_without_templates_nothing_matches() -> None:
    assert Upstream(upstream("u")).route(b"/a") == UNMATCHED


@given(st.binary(max_size=30).map(lambda data: canonical(sanitize_path(b"/" + data))))
def test_a_route_is_a_template_or_unmatched(path: bytes) -> None:
    assert Upstream(upstream("u", routes=ROUTES)).route(path) in {*ROUTES, UNMATCHED}
