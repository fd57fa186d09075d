"""The pages of tasks in a real browser."""

from collections.abc import Callable

import pytest

from signalbox.auth.scopes import Role
from signalbox.tasks import service
from signalbox.tasks.intake import accept
from signalbox.tasks.runtime import TasksRuntime
from signalbox.tasks.schemas import NewTask, Task, TaskOut
from signalbox.tasks.store import TaskFilter
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub

Open = Callable[[Role], ConsolePage]

EVIL = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.timeout(180)


def make(hub: ConsoleHub, *, app: str = "shop", error: str | None = None) -> Task:
    """A task that is tracked only."""
    tasks = next(each.runtime for each in hub.hub.features if isinstance(each.runtime, TasksRuntime))
    context, new = hub.hub.context, NewTask(validation_error=error)
    return hub.call(
        lambda: context.db.write(accept, new, desk=tasks.desk, journal=tasks.journal, app=app, now=hub.now())
    )


def of_app(hub: ConsoleHub, app: str) -> list[TaskOut]:
    return hub.call(lambda: hub.hub.context.db.read(service.list_tasks, TaskFilter(app=app), limit=50)).items


def agree(page: ConsolePage) -> None:
    """Say yes to the question."""
    page.tab.click("#confirm button[value=yes]")


@pytest.mark.parametrize("role", ["user", "manager"])
def test_the_pages_are_as_every_page_must_be(console_page: Open, shown_hub: ConsoleHub, role: Role) -> None:
    task = make(shown_hub, app=EVIL, error=EVIL)
    page = console_page(role)
    page.open("/tasks")
    page.wait_live()
    assert EVIL in page.tab.inner_text("#rows")
    check_page(page)
    page.open(f"/tasks/{task.id}")
    assert EVIL in page.tab.inner_text("#task")
    check_page(page)


def test_a_new_task_appears_without_a_reload_where_it_fits(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("user")
    page.open("/tasks?app=live")
    page.wait_live()
    page.tab.evaluate("window.kept = true")
    make(shown_hub, app="other")
    task = make(shown_hub, app="live")
    page.tab.wait_for_selector(f"#rows a[href$='/tasks/{task.id}']")
    assert page.tab.locator("#rows tbody tr").count() == 1
    assert page.tab.evaluate("window.kept") is True


def test_filters_are_kept_in_the_address(console_page: Open, shown_hub: ConsoleHub) -> None:
    task = make(shown_hub)
    page = console_page("user")
    page.open("/tasks")
    page.tab.fill("#field-find", task.reference)
    page.tab.press("#field-find", "Enter")
    page.tab.wait_for_url(f"**/console/tasks?*find={task.reference}")
    assert page.tab.locator("#rows tbody tr").count() == 1


def test_a_task_is_handed_over_by_hand(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("manager")
    page.open("/tasks")
    page.tab.click("text=New task")
    page.tab.fill("#field-payload", "[1]")
    page.tab.click("text=Hand over")
    page.tab.wait_for_selector("#about-payload .error")
    page.tab.fill("#field-payload", '{"address": "10.0.0.1"}')
    page.tab.click("text=Hand over")
    page.tab.wait_for_url("**/console/tasks/*")
    made = of_app(shown_hub, "user:manager")[0]
    assert page.tab.url.endswith(f"/tasks/{made.id}")
    assert (made.provider, made.payload) == ("checks", {"address": "10.0.0.1"})


def test_ticked_tasks_are_tried_again_and_the_ticks_outlive_an_update(
    console_page: Open, shown_hub: ConsoleHub
) -> None:
    failed = [make(shown_hub, app="many", error="no") for _ in range(2)]
    page = console_page("manager")
    page.open("/tasks?app=many")
    page.wait_live()
    page.tab.check("text=All on this page")
    made = make(shown_hub, app="many")
    page.tab.wait_for_selector(f"#rows a[href$='/tasks/{made.id}']")
    ticked = page.tab.locator("#rows input[name=ids]:checked")
    ticked.nth(len(failed) - 1).wait_for()  # they are ticked again a moment after the rows have come
    assert ticked.count() == len(failed)
    page.tab.click("#rows >> text=Try again")
    agree(page)
    page.tab.wait_for_selector(".toast >> text=2 of 2 tasks: tried again.")
    page.tab.wait_for_selector("#rows .pill[data-state=bad]", state="detached")
    assert "Error" not in {each.status for each in of_app(shown_hub, "many")}


def test_a_task_is_taken_back_only_when_one_says_yes(console_page: Open, shown_hub: ConsoleHub) -> None:
    task = make(shown_hub, app="back")
    page = console_page("manager")
    page.open(f"/tasks/{task.id}")
    page.tab.click("#task >> text=Cancel")
    page.tab.click("#confirm button[value=no]")
    assert [each.id for each in of_app(shown_hub, "back")] == [task.id]
    page.tab.click("#task >> text=Cancel")
    agree(page)
    page.tab.wait_for_url("**/console/tasks")
    assert of_app(shown_hub, "back") == []


def test_a_task_is_tried_again(console_page: Open, shown_hub: ConsoleHub) -> None:
    task = make(shown_hub, app="once", error="no")
    page = console_page("manager")
    page.open(f"/tasks/{task.id}")
    page.wait_live()
    page.tab.click("#task >> text=Try again")
    agree(page)
    page.tab.wait_for_selector("#toasts .toast")
    page.tab.wait_for_selector("#task dd:has-text('Not Started'), #task .pill:has-text('Not Started')")
    assert [each.status for each in of_app(shown_hub, "once")] == ["Not Started"]


def test_ticked_tasks_are_taken_back(console_page: Open, shown_hub: ConsoleHub) -> None:
    for _ in range(2):
        make(shown_hub, app="gone")
    page = console_page("manager")
    page.open("/tasks?app=gone")
    page.wait_live()
    page.tab.check("text=All on this page")
    page.tab.click("#rows .picks >> text=Cancel")
    agree(page)
    page.tab.wait_for_selector(".toast >> text=2 of 2 tasks")
    assert of_app(shown_hub, "gone") == []
