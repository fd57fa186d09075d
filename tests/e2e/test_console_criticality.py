"""Criticality in a real browser."""

from collections.abc import Callable

import pytest

from signalbox.auth.scopes import Role
from signalbox.criticality.schemas import NewConsumer
from signalbox.criticality.service import consumers
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub

Open = Callable[[Role], ConsolePage]
EVIL = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.timeout(120)


def expect(hub: ConsoleHub, app: str) -> None:
    new, db = NewConsumer(app=app, interval="5m"), hub.hub.context.db
    hub.call(lambda: db.write(consumers.register, new, actor="test", now=hub.now()))


def state_of(hub: ConsoleHub, app: str) -> str:
    db = hub.hub.context.db
    return hub.call(lambda: db.read(consumers.read_consumer, app, "default", now=hub.now())).state


def test_a_manager_sets_a_level_and_others_see_it(console_page: Open, shown_hub: ConsoleHub) -> None:
    watcher, manager = console_page("user"), console_page("manager")
    seen = watcher.open("/criticality")
    watcher.wait_live()
    assert seen.locator("[data-dialog=set-level]").count() == 0
    tab = manager.open("/criticality")
    manager.wait_live()
    tab.click("[data-dialog=set-level]")
    tab.fill("#field-level", "4")
    tab.fill("#field-reason", EVIL)
    tab.click("#set-form button[type=submit]")
    tab.wait_for_selector(".toast:has-text('default stands at 4.')")
    assert tab.locator("#set-level").is_hidden()
    seen.wait_for_selector("#level svg[aria-label^='Level 4']")
    seen.wait_for_selector(f"#history td:has-text('{EVIL}')")
    assert seen.locator("img").count() == 0
    check_page(watcher)


def test_a_consumer_is_muted_and_retired(console_page: Open, shown_hub: ConsoleHub) -> None:
    expect(shown_hub, EVIL)
    page = console_page("manager")
    tab = page.open("/criticality")
    page.wait_live()
    row = tab.locator("#consumers tr", has_text=EVIL)
    row.get_by_role("button", name="Mute", exact=True).click()
    row.locator(".pill", has_text="muted").wait_for()
    assert state_of(shown_hub, EVIL) == "muted"
    row.get_by_role("button", name="Retire").click()
    tab.click("#confirm [value=yes]")
    row.locator(".pill", has_text="retired").wait_for()
    assert state_of(shown_hub, EVIL) == "retired"
    check_page(page)


def test_a_consumer_is_expected_and_heard_of_again(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("manager")
    tab = page.open("/criticality")
    page.wait_live()
    tab.click("[data-dialog=expect]")
    tab.fill("#field-app", "night-shift")
    tab.fill("#field-interval", "10m")
    tab.click("#expect-form button[type=submit]")
    row = tab.locator("#consumers tr", has_text="night-shift")
    row.locator(".pill", has_text="never asked").wait_for()
    assert state_of(shown_hub, "night-shift") == "unseen"
    row.get_by_role("button", name="Mute", exact=True).click()
    row.get_by_role("button", name="Unmute").click()
    row.locator(".pill", has_text="never asked").wait_for()
    assert state_of(shown_hub, "night-shift") == "unseen"
