"""The pages of jobs in a real browser."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, update

from signalbox.auth.scopes import Role
from signalbox.core.times import HOUR
from signalbox.infra.jobs import NewJob, enqueue_many
from signalbox.infra.jobs.tables import job as jobs
from signalbox.ops import background, schedules
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub
from tests.support.processes import until

Open = Callable[[Role], ConsolePage]

EVIL = "<img src=x onerror=alert(1)>"
KIND = "tests.nobody"
"""No worker takes it."""

pytestmark = pytest.mark.timeout(180)


def make(hub: ConsoleHub, *, error: str | None = None) -> int:
    """A job that waits, or one that failed for good of ``error``."""

    def write(tx: Connection) -> int:
        enqueue_many(tx, [NewJob(KIND, {"text": EVIL}, due_at=hub.now() - HOUR)], now=hub.now())
        number = background.list_jobs(tx, state=None, kind=KIND, limit=1).items[0].id
        if error is not None:
            dead = {"state": "dead", "error": error, "ended_at": hub.now(), "attempts": 1}
            tx.execute(update(jobs).where(jobs.c.id == number).values(dead))
        return number

    return hub.call(lambda: hub.hub.context.db.write(write))


def state(hub: ConsoleHub, number: int) -> str:
    return hub.call(lambda: hub.hub.context.db.read(background.show_job, number)).state


def agree(page: ConsolePage) -> None:
    """Say yes to the question."""
    page.tab.click("#confirm button[value=yes]")


@pytest.mark.parametrize("role", ["user", "manager"])
def test_the_pages_are_as_every_page_must_be(console_page: Open, shown_hub: ConsoleHub, role: Role) -> None:
    number = make(shown_hub, error=EVIL)
    page = console_page(role)
    page.open("/jobs")
    page.wait_live()
    assert EVIL in page.tab.inner_text("#rows")
    check_page(page)
    for path in (f"/jobs/{number}", "/jobs/schedules"):
        page.open(path)
        check_page(page)


def test_a_job_is_cancelled_and_run_again_and_the_page_follows(console_page: Open, shown_hub: ConsoleHub) -> None:
    number = make(shown_hub)
    page = console_page("manager")
    page.open(f"/jobs/{number}")
    page.wait_live()
    page.tab.click("#job >> text=Cancel")
    agree(page)
    page.tab.wait_for_selector("#job .pill >> text=cancelled")
    assert state(shown_hub, number) == "cancelled"
    page.tab.click("#job >> text=Run again")
    page.tab.wait_for_selector(f".toast >> text=Job {number} runs again.")
    page.tab.wait_for_selector("#job .pill >> text=waiting")
    assert state(shown_hub, number) == "waiting"


def test_what_is_dead_runs_again_at_once(console_page: Open, shown_hub: ConsoleHub) -> None:
    numbers = [make(shown_hub, error="no") for _ in range(2)]
    page = console_page("manager")
    page.open(f"/jobs?kind={KIND}&state=dead")
    page.tab.click("#kinds >> text=Run the dead again")
    agree(page)
    page.tab.wait_for_selector(".toast >> text=run again")
    page.tab.wait_for_selector("#rows >> text=No job fits these filters")
    assert {state(shown_hub, each) for each in numbers} == {"waiting"}


def test_a_job_that_comes_is_seen_without_a_reload(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("user")
    page.open(f"/jobs?kind={KIND}")
    page.wait_live()
    number = make(shown_hub)
    page.tab.wait_for_selector(f"#rows a[href$='/jobs/{number}']")


def test_a_schedule_is_paused_resumed_and_run(console_page: Open, shown_hub: ConsoleHub) -> None:
    def paused() -> bool:
        found = shown_hub.call(lambda: shown_hub.hub.context.db.read(schedules.list_schedules))
        return next(each.paused_at for each in found if each.name == "tasks.tend") is not None

    page = console_page("manager")
    page.open("/jobs/schedules")
    row = "#schedules tr:has-text('tasks.tend')"
    page.tab.click(f"{row} >> text=Pause")
    agree(page)
    page.tab.wait_for_selector(f"{row} >> text=Resume")
    assert paused()
    page.tab.click(f"{row} >> text=Run now")
    page.tab.wait_for_selector(".toast >> text=waits to be run")
    page.tab.click(f"{row} >> text=Resume")
    page.tab.wait_for_selector(f"{row} >> text=Pause")
    until(lambda: not paused())


def test_ticked_jobs_are_cancelled_and_run_again(console_page: Open, shown_hub: ConsoleHub) -> None:
    numbers = [make(shown_hub) for _ in range(2)]
    page = console_page("manager")
    page.open(f"/jobs?kind={KIND}&state=waiting")
    page.wait_live()
    page.tab.check("text=All on this page")
    page.tab.click("#rows .picks >> text=Cancel")
    agree(page)
    page.tab.wait_for_selector(".toast >> text=cancelled or told to stop")
    assert {state(shown_hub, number) for number in numbers} == {"cancelled"}
    page.open(f"/jobs?kind={KIND}&state=cancelled")
    page.wait_live()
    page.tab.check("text=All on this page")
    page.tab.click("#rows .picks >> text=Run again")
    page.tab.wait_for_selector(".toast >> text=run again")
    assert {state(shown_hub, number) for number in numbers} == {"waiting"}


def test_a_request_without_the_token_of_the_page_changes_nothing(console_page: Open, shown_hub: ConsoleHub) -> None:
    number = make(shown_hub, error="no")
    page = console_page("manager")
    page.open("/jobs")
    send = "address => fetch(address, {method: 'POST'}).then(answer => answer.status)"
    assert page.tab.evaluate(send, f"{page.root}/console/jobs/{number}/retry") == 403
    assert state(shown_hub, number) == "dead"
