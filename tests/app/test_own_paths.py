from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import compile_path

from signalbox.app.own_paths import OwnPath, OwnPaths
from signalbox.core.asgi import Receive, Scope, Send


class App:
    """An application, known by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError


def own_paths() -> OwnPaths:
    return OwnPaths([("/a", ["GET"]), ("/a/{id}", ["DELETE"]), ("/a/b", ["GET", "PUT"]), ("/c/", ["POST"])])


@pytest.mark.parametrize(
    ("path", "found", "methods"),
    [
        ("/a", "/a", "GET HEAD"),
        ("/a/", "/a", "GET HEAD"),
        ("/a/b", "/a/b", "DELETE GET HEAD PUT"),
        ("/a/%62", "/a/b", "DELETE GET HEAD PUT"),
        ("/a/x/", "/a/x", "DELETE"),
        ("/c", "/c/", "POST"),
        ("/c/", "/c/", "POST"),
    ],
)
def test_own_paths_are_found_with_and_without_slash(path: str, found: str, methods: str) -> None:
    assert own_paths().find(path.encode()) == OwnPath(found, frozenset(methods.split()))


@pytest.mark.parametrize("path", ["/", "//", "/ab", "/a/b/c", "/a//", "/b", "/A", "//a", "/a/b/c/"])
def test_all_else_is_not_own(path: str) -> None:
    assert own_paths().find(path.encode()) is None


def endpoint(paths: OwnPaths, path: str, method: str) -> tuple[str, dict[str, str]] | None:
    """Name of the application and the parameters; None where FastAPI is to answer."""
    found = paths.find(path.encode())
    assert found is not None
    assert method in found.methods
    chosen = found.endpoints.get(method)
    if chosen is None:
        return None
    assert isinstance(chosen.app, App)
    return chosen.app.name, dict(chosen.parameters)


def listed(*registered: tuple[str, str, str | None]) -> OwnPaths:
    """Paths from method, template, and the name of a raw application, None for a route of FastAPI."""
    apps = {(method, path): App(name) for method, path, name in registered if name is not None}
    return OwnPaths([(path, [method]) for method, path, _ in registered], apps)


def test_values_of_parameters_are_decoded() -> None:
    paths = listed(("GET", "/api/hooks/{name}", "hook"), ("GET", "/api/{kind}/of/{name}", "kind"))
    assert endpoint(paths, "/api/hooks/b", "GET") == ("hook", {"name": "b"})
    assert endpoint(paths, "/api/hooks/a%20b%2Fc%C3%A9/", "GET") == ("hook", {"name": "a b/cé"})
    assert endpoint(paths, "/api/x/of/y", "GET") == ("kind", {"kind": "x", "name": "y"})
    assert endpoint(paths, "/api/hooks/of/y", "GET") == ("kind", {"kind": "hooks", "name": "y"})
    assert paths.find(b"/api/hooks/") is None


def test_a_path_without_parameters_goes_first_whoever_answers_it() -> None:
    paths = listed(
        ("GET", "/api/level/{signal}", "any"),
        ("GET", "/api/level/history", None),
        ("GET", "/api/level/stream", "stream"),
        ("POST", "/api/level/{signal}", "set"),
    )
    assert endpoint(paths, "/api/level/x", "GET") == ("any", {"signal": "x"})
    assert endpoint(paths, "/api/level/history", "GET") is None
    assert endpoint(paths, "/api/level/history", "HEAD") is None
    assert endpoint(paths, "/api/level/stream/", "GET") == ("stream", {})
    assert endpoint(paths, "/api/level/stream", "POST") == ("set", {"signal": "stream"})


def test_of_two_templates_the_first_answers() -> None:
    paths = listed(("GET", "/a/{one}", None), ("GET", "/a/{two}", "two"), ("PUT", "/a/{two}", "put"))
    assert endpoint(paths, "/a/x", "GET") is None
    assert endpoint(paths, "/a/x", "PUT") == ("put", {"two": "x"})


def test_a_get_answers_head_too() -> None:
    paths = listed(("GET", "/a", "get"), ("GET", "/b/{c}", "other"))
    assert endpoint(paths, "/a", "HEAD") == ("get", {})
    assert endpoint(paths, "/b/x", "HEAD") == ("other", {"c": "x"})


segments = st.sampled_from(["a", "b", "{x}"])
templates = st.lists(segments, max_size=3).map(lambda parts: "/".join(["/a", *parts]))
asked = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


def named_apart(path: str) -> str:
    """Parameters with names of their own, as a template needs them."""
    return "/".join(f"{{x{place}}}" if part == "{x}" else part for place, part in enumerate(path.split("/")))


@given(known=st.lists(st.tuples(templates.map(named_apart), st.sampled_from(["GET", "PUT"])), max_size=6), path=asked)
def test_what_is_found_is_what_trying_each_template_finds(known: list[tuple[str, str]], path: str) -> None:
    expected: set[Any] = set()
    for template, method in known:
        if compile_path(template)[0].match(path):
            expected |= {"GET", "HEAD"} if method == "GET" else {method}
    found = OwnPaths([(template, [method]) for template, method in known]).find(path.encode())
    assert (found.methods if found else set()) == expected


def test_beginnings_are_of_raw_applications_that_are_wanted() -> None:
    one, other = App("one"), App("other")
    paths = OwnPaths(
        [("/a/{id}", ["GET"]), ("/a", ["GET"]), ("/b", ["GET"]), ("/c", ["GET"])],
        {("GET", "/a/{id}"): one, ("GET", "/a"): one, ("GET", "/b"): other},
    )
    assert paths.beginnings_of(lambda app: app is one) == {b"/a/", b"/a"}
