"""The overview in a real browser."""

import json
from collections.abc import Callable

import pytest

from signalbox.auth.scopes import Role
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub
from tests.support.processes import ask

Open = Callable[[Role], ConsolePage]

pytestmark = pytest.mark.timeout(120)


def report(hub: ConsoleHub, level: int, *, second: int) -> None:
    body = json.dumps({"level": level, "changed_at": f"2026-01-01T00:00:{second:02}Z"}).encode()
    headers = {"Token": hub.token, "App-name": "weather", "Content-Type": "application/json"}
    assert ask(f"{hub.root}/api/criticality", method="POST", headers=headers, body=body).status in (200, 201)


@pytest.mark.parametrize("role", ["user", "manager"])
def test_the_page_is_as_every_page_must_be(console_page: Open, shown_hub: ConsoleHub, role: Role) -> None:
    for _ in range(3):
        ask(f"{shown_hub.root}/items/1")
    page = console_page(role)
    page.wait_live()
    check_page(page)


def test_a_level_appears_without_a_reload(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("user")
    page.wait_live()
    page.tab.evaluate("window.kept = true")
    report(shown_hub, 4, second=1)
    page.tab.wait_for_selector("#criticality svg[aria-label^='Level 4']")
    report(shown_hub, 5, second=2)
    page.tab.wait_for_selector("#criticality svg[aria-label^='Level 5']")
    assert page.tab.evaluate("window.kept") is True


def test_the_chart_is_drawn(console_page: Open, shown_hub: ConsoleHub) -> None:
    ask(f"{shown_hub.root}/items/1")
    shown_hub.call(shown_hub.running.flush)
    page = console_page("user")
    page.tab.wait_for_selector(".chart canvas")
    assert "2xx and 3xx" in page.tab.inner_text(".u-legend")


def test_the_tour_is_dismissed_for_good_and_can_be_recalled(console_page: Open) -> None:
    page = console_page("user")
    page.tab.click("#tour >> text=Dismiss")
    page.open()
    assert not page.tab.is_visible("#tour")
    page.tab.click("text=Tour")
    assert page.tab.is_visible("#tour")


def test_the_theme_is_kept(console_page: Open) -> None:
    page = console_page("user")
    page.tab.emulate_media(color_scheme="light")
    page.tab.click("text=Light or dark")
    page.open()
    assert page.tab.evaluate("document.documentElement.dataset.theme") == "dark"


def test_whoever_is_signed_out_elsewhere_sees_the_form_within_seconds(
    console_page: Open, shown_hub: ConsoleHub
) -> None:
    page = console_page("user")
    page.wait_live()
    session = next(each["value"] for each in page.tab.context.cookies() if each["name"] == "signalbox_session")
    sessions = shown_hub.hub.auth.sessions
    found = shown_hub.call(lambda: sessions.find(session))
    assert found is not None
    shown_hub.call(lambda: sessions.end(found))
    page.tab.wait_for_url("**/console/sign-in")
