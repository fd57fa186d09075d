import pytest
from starlette.requests import Request
from starlette.responses import Response

from signalbox.console import cookies


def request(*, root: str = "", scheme: str = "http", **headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": sent, "root_path": root, "scheme": scheme}
    return Request({**scope, "server": ("hub.test", 80), "query_string": b""})


def test_it_is_held_for_the_console_alone() -> None:
    response = Response()
    cookies.set_session(request(root="/b"), response, "abc", seconds=60)
    assert (
        response.headers["set-cookie"] == "signalbox_session=abc; HttpOnly; Max-Age=60; Path=/b/console; SameSite=lax"
    )


@pytest.mark.parametrize(
    ("asked", "secure"),
    [
        (request(), False),
        (request(scheme="https"), True),
        (request(x_forwarded_proto="https"), True),
        (request(x_forwarded_proto="https, http"), True),
        (request(x_forwarded_proto="http, https"), False),
    ],
)
def test_over_https_it_is_secure(asked: Request, secure: bool) -> None:
    response = Response()
    cookies.set_session(asked, response, "abc", seconds=60)
    assert response.headers["set-cookie"].endswith("; Secure") == secure


def test_dropping_it_names_the_same_path() -> None:
    response = Response()
    cookies.drop_session(request(root="/b"), response)
    assert "Path=/b/console;" in response.headers["set-cookie"]
    assert "Max-Age=0" in response.headers["set-cookie"]


@pytest.mark.parametrize(
    "wanted", ["/b/console", "/b/console/jobs", "/b/console/jobs?state=dead&kind=a.b", "/b/console?x"]
)
def test_paths_of_the_console_are_followed(wanted: str) -> None:
    assert cookies.local_path(request(root="/b"), wanted) == wanted


@pytest.mark.parametrize(
    "wanted", ["", "/console", "/b/consoles", "//b/console", "/b/console/\n", "/b/console/..", "x:/b"]
)
def test_others_lead_to_the_first_page(wanted: str) -> None:
    assert cookies.local_path(request(root="/b"), wanted) == "/b/console"


@pytest.mark.parametrize(("cookie", "theme"), [("", ""), ("signalbox_theme=dark", "dark"), ("signalbox_theme=<b>", "")])
def test_the_theme_is_what_was_chosen(cookie: str, theme: str) -> None:
    assert cookies.theme_of(request(cookie=cookie)) == theme


def test_the_tour_stays_dismissed() -> None:
    assert cookies.is_tour_hidden(request(cookie="signalbox_tour=hidden"))
    assert not cookies.is_tour_hidden(request(cookie="signalbox_tour=shown"))
    assert not cookies.is_tour_hidden(request())
