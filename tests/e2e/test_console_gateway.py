"""The pages of the gateway in a real browser."""

from collections.abc import Callable

import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.scopes import Role
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub
from tests.support.processes import ask

Open = Callable[[Role], ConsolePage]

pytestmark = pytest.mark.timeout(180)

EVIL = "/search/%3Cimg%20src=x%20onerror=alert(1)%3E"


def call(hub: ConsoleHub, *paths: str) -> None:
    """Send calls, and wait until they are recorded."""
    for path in paths:
        ask(f"{hub.root}{path}")
    hub.call(hub.running.flush)


def changes(hub: ConsoleHub, action: str) -> int:
    read = hub.hub.context.db.read
    return len(hub.call(lambda: read(list_entries, wanted=AuditFilter(action=action), limit=100)))


@pytest.mark.parametrize("role", ["user", "manager"])
def test_the_pages_are_as_every_page_must_be(console_page: Open, shown_hub: ConsoleHub, role: Role) -> None:
    call(shown_hub, "/items/1", "/status/503", EVIL)
    page = console_page(role)
    for path in ("/gateway", "/gateway/upstreams/shop"):
        page.open(path)
        page.wait_live()
        page.tab.wait_for_selector("#period:not([aria-busy]) .picture")
        check_page(page)
    page.open("/gateway/calls")
    page.wait_live()
    check_page(page)
    page.tab.click("#calls tbody a >> nth=0")
    page.tab.wait_for_selector("text=Copy as curl")
    check_page(page)


def test_calls_appear_without_a_reload_and_are_filtered(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("user")
    page.open("/gateway/calls")
    page.wait_live()
    page.tab.evaluate("window.kept = true")
    call(shown_hub, "/orders/brand-new")
    page.tab.wait_for_selector("#calls >> text=orders/brand-new")
    page.tab.fill("#field-path", "/orders/brand")
    page.tab.press("#field-path", "Enter")
    page.tab.wait_for_url("**/gateway/calls?*path=%2Forders%2Fbrand*")
    assert "/items/1" not in page.tab.inner_text("#calls")
    assert page.tab.evaluate("window.kept") is True


def test_a_period_is_kept_in_the_address(console_page: Open, shown_hub: ConsoleHub) -> None:
    call(shown_hub, "/items/1")
    page = console_page("user")
    page.open("/gateway")
    page.tab.click("text=24 hours")
    page.tab.wait_for_url("**/gateway?period=24h")
    page.tab.wait_for_selector("text=By upstream, last 24 hours")


def test_a_manager_probes_and_forgets_cached_answers(console_page: Open, shown_hub: ConsoleHub) -> None:
    call(shown_hub, "/items/1", "/items/1")
    page = console_page("manager")
    page.open("/gateway/upstreams/shop")
    page.wait_live()
    page.tab.click("text=Probe now")
    page.tab.wait_for_selector("#toasts >> text=answered")
    assert changes(shown_hub, "upstream.probe") == 1
    page.tab.fill("#purge-prefix", "/items")
    page.tab.click("button:has-text('Forget')")
    page.tab.click("#confirm >> text=Cancel")
    assert changes(shown_hub, "cache.purge") == 0
    page.tab.click("button:has-text('Forget')")
    page.tab.click("#confirm button[value=yes]")
    page.tab.wait_for_selector("#toasts >> text=below /items are forgotten")
    assert changes(shown_hub, "cache.purge") == 1


def test_a_breaker_that_opens_is_seen_and_reset(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("manager")
    page.open("/gateway")
    page.wait_live()
    call(shown_hub, *["/status/503"] * 60)
    page.tab.wait_for_selector("#upstreams >> text=open")
    page.tab.click("#upstreams >> text=Reset")
    page.tab.click("#confirm button[value=yes]")
    page.tab.wait_for_selector("#toasts >> text=calls are let through")
    page.tab.wait_for_selector("#upstreams >> text=closed")
    assert changes(shown_hub, "breaker.reset") == 1
