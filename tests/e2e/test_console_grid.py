"""The grid in a real browser."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from signalbox.auth.scopes import Role
from signalbox.core.times import MINUTE, to_datetime
from signalbox.grid import components, intake, readings, report_schedules, report_store, reports, rules
from signalbox.grid.errors import ComponentNotFoundError, RuleNotFoundError, ScheduleNotFoundError
from signalbox.grid.kinds import check
from signalbox.grid.readings import Wanted
from signalbox.grid.schemas import NewReading, NewReport, ScheduleIn, ThresholdRuleIn
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub
from tests.support.processes import until

Open = Callable[[Role], ConsolePage]
EVIL = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def component(shown_hub: ConsoleHub) -> int:
    """A line that has measured for three days."""
    db, now = shown_hub.hub.context.db, shown_hub.now()
    new = check({"component_type": "LINE", "name": EVIL, "substation": EVIL, "length_km": 2, "voltage_kv": 110})
    made = shown_hub.call(lambda: db.write(components.add, new, by="test", now=now))
    rows = [NewReading(made.id, float(i % 50), "POWER", to_datetime(now - i * MINUTE)) for i in range(1, 4_000)]
    shown_hub.call(lambda: db.write(intake.accept_many, rows, now=now))
    return made.id


def test_a_component_is_added(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("manager")
    tab = page.open("/grid")
    tab.click("[data-dialog=component]")
    tab.select_option("#component-type", "SWITCH")
    tab.select_option("#field-status", "OPEN")
    tab.fill("#field-name", "Q9")
    tab.fill("#field-substation", "North")
    tab.click("#component-form button[type=submit]")
    tab.wait_for_url("**/grid/components/*")
    assert tab.inner_text("h1") == "Q9"
    db = shown_hub.hub.context.db
    number = int(tab.url.rsplit("/", 1)[1])
    assert shown_hub.call(lambda: db.read(components.show, number)).substation == "North"


def test_readings_are_imported(console_page: Open, shown_hub: ConsoleHub, component: int, tmp_path: Path) -> None:
    rows = [
        {"component_id": of, "timestamp": "2024-05-01T00:00:00Z", "value": 1, "measurement_type": "CURRENT"}
        for of in (component, 999)
    ]
    file = tmp_path / "readings.ndjson"
    file.write_text("\n".join(map(json.dumps, rows)))
    page = console_page("manager")
    tab = page.open("/grid")
    tab.click("[data-dialog=import]")
    check_page(page)
    tab.set_input_files("#import-file", file)
    tab.click("#import button[type=submit]")
    tab.wait_for_selector(".toast:has-text('1 readings are taken, 0 were there already, 1 are rejected')")
    db, wanted = shown_hub.hub.context.db, Wanted(component, "CURRENT")
    assert len(shown_hub.call(lambda: db.read(readings.list_readings, wanted, limit=5)).items) == 1


def test_components_and_a_csv_file_are_imported(
    console_page: Open, shown_hub: ConsoleHub, component: int, tmp_path: Path
) -> None:
    parts, file = tmp_path / "parts.csv", tmp_path / "readings.csv"
    parts.write_text("component_type,name,substation,status\nSWITCH,Q8,South,OPEN\n")
    file.write_text(f"component_id,timestamp,value,measurement_type\n{component},2024-06-01T00:00:00Z,7,CURRENT\n")
    page = console_page("manager")
    tab = page.open("/grid")
    tab.click("[data-dialog=import-components]")
    tab.set_input_files("#import-components-file", parts)
    tab.click("#import-components button[type=submit]")
    tab.wait_for_selector(".toast:has-text('1 components are added')")
    tab.click("#import-components [data-close]")
    tab.wait_for_selector("#substations a:has-text('Q8')")
    tab.click("[data-dialog=import]")
    tab.set_input_files("#import-file", file)
    tab.click("#import button[type=submit]")
    tab.wait_for_selector(".toast:has-text('1 readings are taken')")
    db, wanted = shown_hub.hub.context.db, Wanted(component, "CURRENT")
    found = shown_hub.call(lambda: db.read(readings.list_readings, wanted, limit=5)).items
    assert 7.0 in [each.value for each in found]


def test_schedules_and_rules_are_added(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("manager")
    tab = page.open("/grid/plans")
    tab.click(".head [data-dialog=schedule]")
    tab.fill("#field-name", "Weekly")
    tab.select_option("#field-every", "week")
    tab.fill("#field-timezone", "Nowhere")
    tab.click("#schedule-form button[type=submit]")
    tab.wait_for_selector("#schedule-form [name=timezone][aria-invalid=true]")
    page.errors.clear()  # browsers say themselves that a form was answered with 422
    check_page(page)
    tab.fill("#field-timezone", "Europe/Berlin")
    tab.click("#schedule-form button[type=submit]")
    tab.wait_for_selector("#plans th:has-text('Weekly')")
    tab.click(".head [data-dialog=rule]")
    check_page(page)
    tab.fill("#rule-name", "Hot")
    tab.select_option("#field-measurement_type", "POWER")
    tab.fill("#field-bound", "55.5")
    tab.click("#rule-form button[type=submit]")
    tab.wait_for_selector("#plans th:has-text('Hot')")
    db = shown_hub.hub.context.db
    (rule,) = shown_hub.call(lambda: db.read(rules.list_rules, limit=5)).items
    assert rule.condition.startswith("POWER > 55.5")
    (schedule,) = shown_hub.call(lambda: db.read(report_schedules.list_schedules, limit=5)).items
    assert (schedule.every, schedule.timezone) == ("week", "Europe/Berlin")


def test_a_line_is_looked_at_closer(console_page: Open, component: int) -> None:
    page = console_page("user")
    tab = page.open(f"/grid/components/{component}")
    box = tab.wait_for_selector(".chart .u-over")
    assert box is not None
    box.scroll_into_view_if_needed()
    place = box.bounding_box()
    assert place is not None
    with tab.expect_request("**/power.json*since=*") as asked:
        tab.mouse.move(place["x"] + 100, place["y"] + 50)
        tab.mouse.down()
        tab.mouse.move(place["x"] + 200, place["y"] + 50, steps=4)
        tab.mouse.up()
    assert "until=" in asked.value.url
    tab.wait_for_selector(".chart canvas")
    assert tab.locator("img").count() == 0
    check_page(page)


def test_a_report_is_ordered_and_watched(console_page: Open, shown_hub: ConsoleHub, component: int) -> None:
    page = console_page("manager")
    tab = page.open("/grid/reports")
    page.wait_live()
    tab.click("[data-dialog=order]")
    tab.fill("#field-name", EVIL)
    tab.fill("#field-start_date", "2020-01-01")
    tab.fill("#field-end_date", "2030-01-01")
    tab.click("#order-form button[type=submit]")
    tab.wait_for_selector(".toast:has-text('is ordered')")
    row = tab.locator("#reports tr", has_text=EVIL)
    row.locator(".pill", has_text="ready").wait_for()
    check_page(page)
    row.get_by_role("link").click()
    tab.wait_for_selector("#report .days svg")
    check_page(page)
    db = shown_hub.hub.context.db
    assert [each.status for each in shown_hub.call(lambda: db.read(reports.list_reports, limit=5)).items] == [
        "completed"
    ]


def agree(page: ConsolePage) -> None:
    """Say yes to the question."""
    page.tab.click("#confirm button[value=yes]")


def test_a_component_is_changed_and_deleted(console_page: Open, shown_hub: ConsoleHub) -> None:
    db = shown_hub.hub.context.db
    new = check({"component_type": "SWITCH", "name": "Q7", "substation": "East", "status": "OPEN"})
    number = shown_hub.call(lambda: db.write(components.add, new, by="test", now=shown_hub.now())).id
    page = console_page("manager")
    tab = page.open(f"/grid/components/{number}")
    tab.click("[data-dialog=component]")
    tab.select_option("#field-status", "CLOSED")
    tab.fill("#field-substation", "West")
    tab.click("#component-form button[type=submit]")
    tab.wait_for_selector("text=Switch of West")
    shown = shown_hub.call(lambda: db.read(components.show, number)).model_dump()
    assert (shown["substation"], shown["status"]) == ("West", "CLOSED")
    tab.get_by_role("button", name="Delete").click()
    agree(page)
    tab.wait_for_url("**/console/grid")
    with pytest.raises(ComponentNotFoundError):
        shown_hub.call(lambda: db.read(components.show, number))


def run_of(hub: ConsoleHub, report: int) -> int:
    """How often it has been made, with this time; 0 where it is gone."""
    found = hub.call(lambda: hub.hub.context.db.read(report_store.find_report, report))
    return 0 if found is None else found.run


def test_a_report_is_made_anew_and_deleted(console_page: Open, shown_hub: ConsoleHub) -> None:
    db, order = shown_hub.hub.context.db, NewReport("2021-01-01", "2021-02-01")
    number = shown_hub.call(lambda: db.write(reports.order, order, by="test", now=shown_hub.now())).id
    page = console_page("manager")
    tab = page.open(f"/grid/reports/{number}")
    page.wait_live()
    tab.get_by_role("button", name="Make anew").click()
    tab.click("#confirm button[value=no]")
    assert run_of(shown_hub, number) == 1
    until(lambda: shown_hub.call(lambda: db.read(reports.show, number)).status == "completed" or None)
    tab.get_by_role("button", name="Make anew").click()
    agree(page)
    tab.wait_for_selector(".toast:has-text('is made anew')")
    assert run_of(shown_hub, number) == 2
    tab.get_by_role("button", name="Delete").click()
    agree(page)
    tab.wait_for_url("**/console/grid/reports")
    assert run_of(shown_hub, number) == 0


def test_schedules_are_paused_and_deleted_and_rules_deleted(console_page: Open, shown_hub: ConsoleHub) -> None:
    db, now = shown_hub.hub.context.db, shown_hub.now()
    plan = ScheduleIn(name="Doomed", every="day", timezone="UTC")
    bound = ThresholdRuleIn(name="Gone", measurement_type="POWER", comparison=">", bound=1000)
    schedule = shown_hub.call(lambda: db.write(report_schedules.add, plan, limit=99, by="test", now=now)).id
    rule = shown_hub.call(lambda: db.write(rules.add, bound, limit=99, by="test", now=now)).id
    page = console_page("manager")
    tab = page.open("/grid/plans")
    page.wait_live()
    row = tab.locator("#plans tr", has_text="Doomed")
    row.get_by_role("button", name="Pause").click()
    row.get_by_role("button", name="Go on").wait_for()
    assert shown_hub.call(lambda: db.read(report_schedules.show, schedule)).paused
    row.get_by_role("button", name="Delete").click()
    agree(page)
    row.wait_for(state="detached")
    row = tab.locator("#plans tr", has_text="Gone")
    row.get_by_role("button", name="Delete").click()
    agree(page)
    row.wait_for(state="detached")
    with pytest.raises(ScheduleNotFoundError):
        shown_hub.call(lambda: db.read(report_schedules.show, schedule))
    with pytest.raises(RuleNotFoundError):
        shown_hub.call(lambda: db.read(rules.show, rule))
