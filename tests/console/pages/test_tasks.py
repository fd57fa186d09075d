"""The pages of tasks over HTTP."""

import re
from typing import Any

import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.core.times import HOUR
from signalbox.infra.context import Context
from signalbox.tasks import poll, service, store
from signalbox.tasks.errors import TaskNotFoundError
from signalbox.tasks.intake import accept
from signalbox.tasks.schemas import NewTask, Task
from tests.console.conftest import SignedIn, Visitor, add_user, header, services_of, told
from tests.support.databases import Place
from tests.support.hub import running_hub, settings_at

EVIL = "<img src=x onerror=alert(1)>"


async def make(somebody: Visitor, *, app: str = "shop", error: str | None = None) -> Task:
    """A task that is tracked only."""
    context, tasks = somebody.hub.hub.context, services_of(somebody.hub).tasks
    new = NewTask(validation_error=error)
    return await context.db.write(accept, new, desk=tasks.desk, journal=tasks.journal, app=app, now=context.clock.now())


def context_of(somebody: Visitor) -> Context:
    return somebody.hub.hub.context


async def is_there(somebody: Visitor, number: int) -> bool:
    try:
        await context_of(somebody).db.read(service.show_task, number)
    except TaskNotFoundError:
        return False
    return True


async def test_an_empty_hub_says_what_to_do(signed_in: SignedIn) -> None:
    text = await (await signed_in("user")).text("/tasks")
    assert "There are no tasks yet" in text
    assert "No provider is set up" in text
    assert "New task" not in text


async def test_the_list_is_filtered_by_what_stands_in_the_address(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    failed = await make(somebody, error="Invalid [IP]")
    other = await make(somebody, app="billing")

    async def shown(query: str) -> list[int]:
        text = await somebody.text(f"/tasks/rows?{query}", htmx=True)
        return [each.id for each in (other, failed) if f'/console/tasks/{each.id}"' in text]

    assert await shown("") == [other.id, failed.id]
    assert await shown("status=Error") == [failed.id]
    assert await shown("app=billing") == [other.id]
    assert await shown("provider=-") == [other.id, failed.id]
    assert await shown("provider=checks") == []
    assert await shown("since=1h") == [other.id, failed.id]
    assert await shown(f"find={failed.reference}") == [failed.id]
    assert await shown(f"find={other.id}") == [other.id]
    assert await shown("find=nothing") == []
    old = context_of(somebody).clock.now() - 2 * HOUR
    await context_of(somebody).db.write(store.change_task, failed.id, {"updated_at": old})
    assert await shown("since=1h") == [other.id]


async def test_an_address_that_means_nothing_is_refused(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    assert (await somebody.get("/tasks?status=Burning")).status == 422
    assert (await somebody.get("/tasks?app=%00")).status == 422
    assert (await somebody.get("/tasks/x")).status == 404
    assert (await somebody.get("/tasks/99999999999999999999")).status == 404


async def test_a_page_that_is_full_leads_to_older_ones(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    for _ in range(51):
        await make(somebody)
    text = await somebody.text("/tasks?status=Not+Started")
    assert "status=Not+Started&amp;cursor=" in text


async def test_a_manager_hands_a_task_over_and_it_is_audited(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    answer = await somebody.act("/tasks", payload='{"n": 1}')
    assert (answer.status, header(answer, "HX-Redirect")) == (204, "/console/tasks/1")
    made = await context_of(somebody).db.read(service.show_task, 1)
    assert (made.app, made.payload) == ("user:manager", {"n": 1})
    entry = (await context_of(somebody).db.read(list_entries, wanted=AuditFilter(), limit=1))[0]
    assert (entry.actor, entry.action) == ("user:manager", "task.add")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"payload": "[1]"}, "is no JSON object"), ({"provider": "nobody"}, "there is no provider")],
)
async def test_a_form_that_is_wrong_says_so_at_the_field(
    signed_in: SignedIn, fields: dict[str, Any], reason: str
) -> None:
    answer = await (await signed_in("manager")).act("/tasks", **fields)
    assert answer.status == 422
    assert reason in answer.body.decode()
    assert 'aria-invalid="true"' in answer.body.decode()


async def test_a_failed_task_is_tried_again_and_another_taken_back(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    failed, other = await make(somebody, error="no"), await make(somebody)
    answer = await somebody.act(f"/tasks/{failed.id}/retry")
    assert told(answer)["toast"]["message"] == f"Task {failed.id} is tried again."
    assert "live:tasks" in told(answer)
    assert (await context_of(somebody).db.read(service.show_task, failed.id)).status == "Not Started"
    assert (await somebody.act(f"/tasks/{other.id}/cancel")).status == 204
    assert not await is_there(somebody, other.id)
    again = await somebody.act(f"/tasks/{other.id}/cancel")
    assert (again.status, told(again)["toast"]["kind"]) == (404, "bad")
    alone = await somebody.act(f"/tasks/{failed.id}/cancel", shown="alone")
    assert header(alone, "HX-Redirect") == "/console/tasks"


async def test_many_are_changed_at_once(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    task = await make(somebody, error="no")
    nothing = await somebody.act("/tasks/actions", action="cancel")
    assert (nothing.status, "tick" in told(nothing)["toast"]["message"]) == (422, True)
    answer = await somebody.act("/tasks/actions", action="retry", ids=str(task.id))
    assert told(answer)["toast"] == {"message": "1 of 1 tasks: tried again.", "kind": "ok"}
    missing = await somebody.act("/tasks/actions", action="cancel", ids="77")
    assert told(missing)["toast"]["kind"] == "warning"
    await somebody.act("/tasks/actions", action="cancel", ids=str(task.id))
    assert not await is_there(somebody, task.id)


async def test_users_see_and_do_nothing(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    task = await make(somebody, error="no")
    text = await somebody.text("/tasks") + await somebody.text(f"/tasks/{task.id}")
    assert "hx-post" not in text
    for path in ("/tasks", "/tasks/actions", f"/tasks/{task.id}/retry", f"/tasks/{task.id}/cancel"):
        assert (await somebody.act(path, action="cancel", ids=str(task.id))).status == 403
    assert (await context_of(somebody).db.read(service.show_task, task.id)).status == "Error"


async def test_what_outsiders_write_stays_text(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    task = await make(somebody, app=EVIL, error=EVIL)
    await context_of(somebody).db.write(store.change_task, task.id, {"external_id": EVIL, "raw_status": EVIL})
    for path in ("/tasks", f"/tasks/{task.id}", f"/tasks/{task.id}/state"):
        text = await somebody.text(path)
        assert "<img" not in text
        assert "&lt;img" in text


async def test_the_history_is_shown_with_its_time_line(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    task = await make(somebody)
    text = await somebody.text(f"/tasks/{task.id}")
    assert "handed over" in text
    assert "<title>Not Started:" in text
    assert await somebody.text("/tasks/providers", htmx=True)


async def test_pauses_budgets_and_polls_of_providers_are_shown(place: Place) -> None:
    acme = {
        "name": "acme",
        "kind": "http-json",
        "submit_url": "https://acme.test/tasks",
        "item_url": "https://acme.test/tasks/{id}",
        "limits": ["10/1h"],
    }
    async with running_hub(settings_at(place, tasks={"providers": [acme]})) as hub:
        await add_user(hub, "user", "user")
        somebody = Visitor(hub)
        await somebody.sign_in("user")
        ready = await somebody.text("/tasks/providers", htmx=True)
        assert "ready</span>" in ready
        assert 'aria-label="0 of 10 calls used"' in ready
        await strain(somebody)
        for path in ("/tasks", "/tasks/providers"):
            text = await somebody.text(path)
            assert re.search(r'paused</span><span class="muted">goes on <time [^>]+>in (59|60) min</time>', text)
            assert re.search(r'aria-label="8 of 10 calls used">.*<rect width="80.0%" [^>]+ class="series-2"/>', text)
            assert '<span class="number">8 of 10</span>' in text
            assert "&lt;img src=x onerror=alert(1)&gt;" in text
            assert "<img" not in text


async def strain(somebody: Visitor) -> None:
    """Use 8 calls of the budget of the provider acme, have its poll fail and its host ask for an hour's pause."""
    context, acme = context_of(somebody), services_of(somebody.hub).tasks.providers["acme"]
    db, now = context.db, context.clock.now()
    await db.write(context.budgets.take, acme.host, count=8, extra=acme.limits, now=now)
    await db.write(poll.note, "acme", poll.Tally(), error=f"no list: {EVIL}", now=now)
    await db.write(context.budgets.pause, acme.host, until=now + HOUR)
