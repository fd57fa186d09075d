"""The other routes of tasks over HTTP."""

import asyncio
import json
from typing import Any

from tests.support.timing import PATIENCE
from tests.tasks.conftest import NAME, Office


async def test_the_api_is_up(office: Office) -> None:
    answer = await office.hub.ask(b"/api/healthchecker")
    assert (answer.status, json.loads(answer.body)) == (200, {"message": "The API is up."})


async def test_lists_have_filters_and_pages(office: Office) -> None:
    for number, status in ((1, "Not Started"), (2, "In Progress"), (3, "In Progress")):
        await office.hand_over(id=number, status=status)
    assert [each["id"] for each in await office.get("/api/tasks")] == [3, 2, 1]
    assert [each["id"] for each in await office.get("/api/tasks/?status=In%20Progress")] == [3, 2]
    assert await office.get("/api/tasks?provider=acme") == []
    assert len(await office.get("/api/tasks?provider=")) == 3
    assert await office.get("/api/tasks?since=2100-01-01T00:00:00Z") == []
    assert len(await office.get("/api/tasks?since=2000-01-01T00:00:00Z")) == 3
    for query in ("status=Done", "since=yesterday", "limit=501", "cursor=x", "provider=%00"):
        assert (await office.call("GET", f"/api/tasks?{query}")).status in (400, 422), query
    answer = await office.call("GET", "/api/tasks?limit=2")
    link = (answer.value(b"link") or b"").decode()
    assert [each["id"] for each in await office.get(link[1 : link.index(">")])] == [1]


PATCHES: tuple[tuple[dict[str, str], int, tuple[str, str | None]], ...] = (
    ({}, 202, ("Not Started", None)),
    ({"status": "In Progress"}, 202, ("In Progress", None)),
    ({"status": "Done"}, 422, ("In Progress", None)),
    ({"state": "Completed"}, 422, ("In Progress", None)),
    ({"validation_error": "Invalid IP"}, 202, ("Error", "Invalid IP")),
)


async def test_tasks_are_changed(office: Office) -> None:
    await office.hand_over(id=1)
    for patch, status, expected in PATCHES:
        given = await office.call("PATCH", "/api/tasks/1/", patch)
        assert given.status == status, patch
        task = (await office.get("/api/tasks/1"))["task"]
        assert (task["status"], task["validation_error"]) == expected
        assert status != 202 or json.loads(given.body)["task"] == task


async def test_what_has_ended_is_a_conflict(office: Office) -> None:
    await office.hand_over(id=1, status="Completed")
    given = await office.call("PATCH", "/api/tasks/1", {"status": "Not Started"})
    assert (given.status, json.loads(given.body)["code"]) == (409, "task_ended")


async def test_what_was_not_submitted_is_cancelled(office: Office) -> None:
    await office.hand_over(id=1)
    assert (await office.call("DELETE", "/api/tasks/1")).status == 204
    assert (await office.call("DELETE", "/api/tasks/1")).status == 404
    made = await office.hand_over(provider=NAME)
    await office.until(made["id"], "Completed")
    given = await office.call("DELETE", f"/api/tasks/{made['id']}")
    assert (given.status, json.loads(given.body)["code"]) == (409, "task_submitted")


async def test_many_are_cancelled_in_one_request(office: Office) -> None:
    for number in (1, 2):
        await office.hand_over(id=number)
    given = await office.call("POST", "/api/tasks/actions", {"action": "cancel", "ids": [2, 1, 9]})
    said = json.loads(given.body)
    assert (given.status, [each["done"] for each in said], said[2]["code"]) == (
        200,
        [True, True, False],
        "task_not_found",
    )
    assert await office.get("/api/tasks") == []


async def test_a_refused_task_can_be_retried_and_history_tells_all(office: Office) -> None:
    office.provider.faults.order("refuse", route="submit")
    made = await office.hand_over(provider=NAME)
    found = await office.until(made["id"], "Error")
    assert found["validation_error"]
    assert (await office.call("POST", f"/api/tasks/{made['id']}/retry")).status == 200
    await office.until(made["id"], "Completed")
    entries = await office.get(f"/api/tasks/{made['id']}/history")
    statuses = [each["status_to"] for each in reversed(entries)]
    assert (statuses[:3], statuses[-1]) == (["Not Started", "Error", "Not Started"], "Completed")
    assert {each["source"] for each in entries} == {"client", "submit", "poll"}
    assert (await office.call("GET", "/api/tasks/77/history")).status == 404


async def test_providers_tell_how_they_stand(office: Office) -> None:
    (before,) = await office.get("/api/providers")
    assert (before["name"], before["is_default"], before["last_poll"], before["queued"]) == (NAME, True, None, 0)
    await office.hand_over(id=1)

    async def polled() -> dict[str, Any]:
        while True:
            (now,) = await office.get("/api/providers/")
            if now["last_poll"] is not None:
                return dict(now)
            await asyncio.sleep(0.05)

    now = await asyncio.wait_for(polled(), PATIENCE)
    assert (now["in_flight"], now["last_poll"]["error"]) == (1, None)
