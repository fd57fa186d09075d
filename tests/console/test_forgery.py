import pytest

from signalbox.console.errors import ForgedRequestError
from signalbox.console.forgery import check_site, check_token
from tests.console.test_cookies import request


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"origin": "http://hub.test", "host": "hub.test"},
        {"origin": "https://hub.test:8443", "host": "hub.test:8443"},
        {"origin": "https://console.test", "host": "10.0.0.1:8000", "x_forwarded_host": "console.test"},
        {"sec_fetch_site": "same-origin", "origin": "https://console.test", "host": "10.0.0.1:8000"},
    ],
)
def test_what_comes_from_our_own_pages_passes(headers: dict[str, str]) -> None:
    check_site(request(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "http://hub.test", "host": "hub.test"},
        {"origin": "http://evil.test", "host": "hub.test"},
        {"origin": "http://hub.test:81", "host": "hub.test"},
        {"origin": "null", "host": "hub.test"},
        {"origin": "", "host": "hub.test"},
    ],
)
def test_what_comes_from_another_site_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ForgedRequestError):
        check_site(request(**headers))


@pytest.mark.parametrize("given", [None, "", "abd", "abc ", "ABC", "\N{SNOWMAN}"])
def test_another_token_is_refused(given: str | None) -> None:
    check_token("abc", "abc")
    with pytest.raises(ForgedRequestError):
        check_token(given, "abc")
