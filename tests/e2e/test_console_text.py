"""Whatever outsiders write stays text, on every page there is; and every page is as every page must be."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from signalbox.auth.scopes import Role
from signalbox.console.page import Page
from signalbox.console.pages import PAGES
from signalbox.core.times import MINUTE, to_datetime
from signalbox.grid import components, intake, report_schedules, reports, rules
from signalbox.grid.kinds import check
from signalbox.grid.schemas import NewReading, NewReport, ScheduleIn, ThresholdRuleIn
from signalbox.infra.jobs import NewJob, enqueue_many
from signalbox.sandbox.interviews import Made
from tests.conversations.conftest import import_folder, made, write
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub
from tests.support.processes import ask

Open = Callable[[Role], ConsolePage]

EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{191*7919}}"

TEXTS = ("company_name", "logo", "tag_value", "title", "question", "answer", "speaker", "content")
"""Of a data set of interviews."""
DEEPER = (
    "/grid",
    "/grid/components/1",
    "/grid/reports",
    "/grid/reports/1",
    "/grid/plans",
    "/conversations",
    "/conversations/transcripts/10",
    "/conversations/transcripts/12",
    "/tasks/1",
)
"""Pages on which something hostile can be read."""

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def hostile(shown_hub: ConsoleHub, tmp_path_factory: pytest.TempPathFactory) -> ConsoleHub:
    """A hub whose callers write markup wherever they may."""
    ask(f"{shown_hub.root}/items/{quote(EVIL)}", headers={"X-Request-Id": "evil", "App-name": EVIL})
    send(shown_hub, "/api/criticality", {"level": 3, "changed_at": "2026-01-01T00:00:00Z", "reason": EVIL})
    send(shown_hub, "/api/tasks", {"provider": "checks", "payload": {EVIL: EVIL}})
    send(shown_hub, "/api/assistance", {"topic": "sales", "customer": EVIL, "description": EVIL})
    send(shown_hub, "/api/criticality/consumers", {"app": EVIL[:90], "interval": "1s"})
    db = shown_hub.hub.context.db
    job = NewJob("grid.evil", {EVIL: EVIL}, key=EVIL)
    shown_hub.call(lambda: db.write(enqueue_many, [job], now=shown_hub.now()))
    plan(shown_hub)
    rows = made()
    for row in (row for folder in vars_of(rows) for row in folder):
        row |= {name: f"{value} {EVIL}" for name, value in row.items() if name in TEXTS}
    folder = write(tmp_path_factory.mktemp("hostile") / "data", rows)
    shown_hub.call(lambda: import_folder(shown_hub.hub.context, folder))
    shown_hub.call(shown_hub.running.flush)
    return shown_hub


def vars_of(rows: Made) -> tuple[list[dict[str, Any]], ...]:
    return rows.company, rows.tag, rows.transcript, rows.conversation, rows.monologue


def plan(hub: ConsoleHub) -> None:
    """A component, a reading beyond a bound, a report and a schedule, all with hostile names."""
    db, now = hub.hub.context.db, hub.now()
    line = check({"component_type": "LINE", "name": EVIL, "substation": EVIL, "length_km": 2, "voltage_kv": 110})
    rule = ThresholdRuleIn(name=EVIL, measurement_type="POWER", comparison=">", bound=5)
    daily = ScheduleIn(name=EVIL, every="day")
    week = NewReport("2020-01-01", "2030-01-01", "UTC", EVIL)
    component = hub.call(lambda: db.write(components.add, line, by=EVIL, now=now))
    hub.call(lambda: db.write(rules.add, rule, limit=9, by=EVIL, now=now))
    hub.call(lambda: db.write(report_schedules.add, daily, limit=9, by=EVIL, now=now))
    readings = [NewReading(component.id, 9.0, "POWER", to_datetime(now - MINUTE))]
    hub.call(lambda: db.write(intake.accept_many, readings, now=now))
    hub.call(lambda: db.write(reports.order, week, by=EVIL, now=now))


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
    assert "1512529" not in tab.inner_text("h1")
    assert visitor.errors == []


@pytest.mark.parametrize("path", DEEPER)
def test_markup_stays_text_where_it_is_shown(console_page: Open, hostile: ConsoleHub, path: str) -> None:
    visitor = console_page("manager")
    visitor.tab.on("dialog", lambda dialog: visitor.errors.append(f"a dialog: {dialog.message}"))
    tab = visitor.open(path)
    assert EVIL in (tab.text_content("main") or "")
    assert tab.locator("img, main script, [onerror]").count() == 0
    assert "1512529" not in (tab.text_content("main") or "")
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
