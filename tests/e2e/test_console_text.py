"""Whatever outsiders write stays text, on every page there is; and every page is as every page must be."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from signalbox.auth.scopes import Role
from signalbox.console.page import Page
from signalbox.console.pages import PAGES
from signalbox.infra.jobs import NewJob, enqueue_many
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub
from tests.support.processes import ask

Open = Callable[[Role], ConsolePage]

EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{7*7}}"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def hostile(shown_hub: ConsoleHub) -> ConsoleHub:
    """A hub whose callers write markup wherever they may."""
    ask(f"{shown_hub.root}/items/{quote(EVIL)}", headers={"X-Request-Id": "evil", "App-name": EVIL})
    send(shown_hub, "/api/criticality", {"level": 3, "changed_at": "2026-01-01T00:00:00Z", "reason": EVIL})
    send(shown_hub, "/api/tasks", {"provider": "checks", "payload": {EVIL: EVIL}})
    send(shown_hub, "/api/assistance", {"topic": "sales", "customer": EVIL, "description": EVIL})
    send(shown_hub, "/api/criticality/consumers", {"app": EVIL[:90], "interval": "1s"})
    db = shown_hub.hub.context.db
    job = NewJob("grid.evil", {EVIL: EVIL}, key=EVIL)
    shown_hub.call(lambda: db.write(enqueue_many, [job], now=shown_hub.now()))
    shown_hub.call(shown_hub.running.flush)
    return shown_hub


def send(hub: ConsoleHub, path: str, body: dict[str, Any]) -> None:
    headers = {"Token": hub.token, "App-name": EVIL[:90], "Content-Type": "application/json"}
    answer = ask(f"{hub.root}{path}", method="POST", headers=headers, body=json.dumps(body).encode())
    assert answer.status < 300, answer.text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_markup_stays_text(console_page: Open, hostile: ConsoleHub, page: Page) -> None:
    visitor = console_page("manager")
    visitor.tab.on("dialog", lambda dialog: visitor.errors.append(f"a dialog: {dialog.message}"))
    tab = visitor.open(page.path)
    tab.wait_for_load_state("load")
    assert tab.locator("img, main script, [onerror]").count() == 0
    assert "49" not in tab.inner_text("h1")
    assert visitor.errors == []


@pytest.mark.parametrize("role", ["user", "manager"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_is_as_it_must_be(console_page: Open, hostile: ConsoleHub, page: Page, role: Role) -> None:
    if role not in ("manager", page.role):
        pytest.skip("for managers alone")
    visitor = console_page(role)
    visitor.open(page.path)
    check_page(visitor)


def test_errors_are_as_every_page_must_be(console_page: Open, shown_hub: ConsoleHub) -> None:
    visitor = console_page("user")
    answer = visitor.tab.goto(f"{shown_hub.root}/console/nothing/{quote(EVIL)}")
    assert answer is not None
    assert answer.status == 404
    visitor.errors.clear()  # browsers say themselves that a page was answered with 404
    check_page(visitor)
    assert visitor.tab.locator("img").count() == 0
