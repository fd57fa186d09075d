"""Conversations in a real browser."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from signalbox.auth.scopes import Role
from signalbox.conversations import service
from tests.conversations.conftest import made, write
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub

Open = Callable[[Role], ConsolePage]
EVIL = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.timeout(150)


def test_a_data_set_is_imported_searched_and_read(console_page: Open, shown_hub: ConsoleHub, tmp_path: Path) -> None:
    rows = made()
    rows.conversation[0] |= {"answer": f"The Market {EVIL} moves.", "question": EVIL}
    page = console_page("manager")
    tab = page.open("/conversations/imports")
    page.wait_live()
    tab.click("[data-dialog=import]")
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", write(tmp_path / "data", rows))
    tab.set_input_files("#import-file", archive)
    tab.click("#import button[type=submit]")
    tab.wait_for_selector(".toast:has-text('it is being imported')")
    tab.click("#import [data-close]")
    row = tab.locator("#imports tbody tr")
    row.locator(".pill", has_text="live").wait_for(timeout=20_000)
    check_page(page)
    db = shown_hub.hub.context.db
    assert shown_hub.call(lambda: db.read(service.show_import, 1)).state == "live"
    row.get_by_role("link").click()
    tab.wait_for_selector("#files-title")
    check_page(page)
    find_and_read(page)


def find_and_read(page: ConsolePage) -> None:
    tab = page.open("/conversations")
    tab.fill("#field-q", "market")
    tab.click(".filters button[type=submit]")
    tab.wait_for_selector("#found mark:has-text('Market')")
    assert "q=market" in tab.url
    check_page(page)
    tab.click("text=in its transcript")
    tab.wait_for_selector("li:target mark")
    tab.wait_for_timeout(1_100)  # moments are told anew each second; the day of a transcript stays a date
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", tab.inner_text(".lead time"))
    assert tab.locator("img").count() == 0
    check_page(page)


def test_users_import_nothing(console_page: Open, shown_hub: ConsoleHub) -> None:
    tab = console_page("user").open("/conversations/imports")
    assert tab.locator("[data-dialog=import]").count() == 0
