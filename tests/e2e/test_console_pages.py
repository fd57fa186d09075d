"""Every page that the console leads to, in both roles: accessible, of the right width, without errors, asking nobody else."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser

from signalbox.auth.scopes import Role
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub

Open = Callable[[Role], ConsolePage]


def links(page: ConsolePage, selector: str) -> list[str]:
    """Paths below ``/console`` that links lead to."""
    found = [link.get_attribute("href") or "" for link in page.tab.locator(selector).all()]
    return [each.partition("/console")[2].partition("?")[0] for each in found]


@pytest.mark.timeout(900)  # some twenty pages, each looked at four times
@pytest.mark.parametrize("role", ["user", "manager"])
def test_every_page_of_the_navigation_and_each_of_its_parts(console_page: Open, role: Role) -> None:
    page = console_page(role)
    left, seen = links(page, "#nav a"), set[str]()
    assert len(left) > (8 if role == "user" else 11)
    while left:
        path = left.pop()
        if path in seen:
            continue
        seen.add(path)
        page.open(path)
        left += links(page, "nav.tabs a")
        check_page(page)
    assert {"/grid/reports", "/jobs/schedules", "/notifications/channels", "/conversations/imports"} <= seen


def test_the_page_to_sign_in(chromium: Browser, shown_hub: ConsoleHub) -> None:
    with chromium.new_context() as context:
        page = ConsolePage.of(context, shown_hub.root)
        page.open("/sign-in")
        check_page(page)
