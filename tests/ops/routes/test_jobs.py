from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from signalbox.app import errors
from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.security import Guard
from signalbox.auth.service import create_token
from signalbox.auth.settings import AuthSettings
from signalbox.infra.context import Context
from signalbox.infra.jobs import Every, NewJob, Report, Schedule, enqueue_many
from signalbox.infra.jobs.queue import claim, record
from signalbox.infra.jobs.schedule import fire
from signalbox.ops.routes.jobs import build_jobs_router

Ask = Callable[..., Awaitable[httpx2.Response]]


@pytest.fixture
async def ask(context: Context) -> AsyncIterator[Ask]:
    runtime = AuthRuntime(context, AuthSettings())
    await runtime.open()
    app = FastAPI()
    app.include_router(build_jobs_router(context, Guard(runtime)))
    errors.install(app)
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub")

    async def ask(
        path: str, scope: str | None = "manager", method: str = "GET", body: Any = None, **filters: str | int
    ) -> httpx2.Response:
        headers = {} if scope is None else {"Token": await token(context, scope)}
        return await client.request(method, path, params=filters or None, headers=headers, json=body)

    yield ask
    await client.aclose()
    await runtime.close()


async def token(context: Context, scope: str) -> str:
    now = context.clock.now()
    issued = await context.db.write(create_token, app=scope, scopes=[scope], expires_at=None, actor="desk", at=now)
    return issued.text


async def actions(context: Context, target: str) -> list[str]:
    """What the audit trail tells of a target, newest first."""
    return [each.action for each in await context.db.read(list_entries, wanted=AuditFilter(target=target), limit=99)]


async def put_jobs(context: Context, count: int, *, dead: int = 0) -> None:
    """Jobs with ids from 1 on, the first of them dead."""
    now = context.clock.now()
    new = [NewJob(f"test.{'ab'[number % 2]}", {"n": number}) for number in range(count)]
    await context.db.write(enqueue_many, new, now=now)
    for kind in ("test.a", "test.b"):
        jobs = await context.db.write(claim, kind, worker="w", limit=dead, now=now, lease=9)
        doomed = [Report(job, "dead" if job.id <= dead else "waiting", now, error="x") for job in jobs]
        await context.db.write(record, doomed, now=now)


async def test_jobs_are_listed_in_pages_with_filters(context: Context, ask: Ask) -> None:
    await put_jobs(context, 6, dead=2)
    first = await ask("/api/jobs", scope="jobs:read", limit=4)
    assert [job["id"] for job in first.json()] == [6, 5, 4, 3]
    following = first.headers["link"].partition(";")[0].strip("<>")
    assert [job["id"] for job in (await ask(following)).json()] == [2, 1]
    assert [job["id"] for job in (await ask("/api/jobs", state="dead", kind="test.a")).json()] == [1]
    wrong: list[dict[str, Any]] = [{"state": "lost"}, {"limit": 501}, {"kind": "\0"}, {"cursor": "x"}]
    assert [(await ask("/api/jobs", **each)).status_code for each in wrong] == [422, 422, 422, 400]


async def test_a_job_is_shown_run_again_and_cancelled(context: Context, ask: Ask) -> None:
    await put_jobs(context, 1, dead=1)
    shown = (await ask("/api/jobs/1", scope="user")).json()
    assert (shown["state"], shown["error"], shown["payload"]) == ("dead", "x", {"n": 0})
    again = await ask("/api/jobs/1/retry", scope="jobs:write", method="POST")
    assert (again.status_code, again.json()["state"], again.json()["attempts"]) == (200, "waiting", 0)
    ended = await ask("/api/jobs/1/cancel", scope="jobs:write", method="POST")
    assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
    refused = await ask("/api/jobs/1/cancel", method="POST")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_state")
    assert await actions(context, "job:1") == ["job.cancel", "job.retry"]


async def test_many_jobs_run_again_at_once_as_many_as_asked_for(context: Context, ask: Ask) -> None:
    await put_jobs(context, 6, dead=5)
    counts = [(await ask("/api/jobs/retry", method="POST", limit=2)).json() for _ in range(4)]
    assert [each["retried"] for each in counts] == [2, 2, 1, 0]
    assert (await ask("/api/jobs/retry", method="POST", limit=1_001)).status_code == 422
    assert (await ask("/api/jobs/retry", method="POST", state="done")).status_code == 422


async def test_who_may_do_what_with_jobs(context: Context, ask: Ask) -> None:
    await put_jobs(context, 1)
    for path in ("/api/jobs", "/api/jobs/1", "/api/schedules"):
        assert [(await ask(path, scope=scope)).status_code for scope in (None, "gateway", "user")] == [401, 403, 200]
    for path in ("/api/jobs/1/retry", "/api/jobs/1/cancel", "/api/jobs/retry"):
        answers = [await ask(path, scope=scope, method="POST") for scope in (None, "jobs:read", "user", "jobs:write")]
        assert [answer.status_code for answer in answers] == [401, 403, 403, 200]


async def test_there_is_no_such_job(ask: Ask) -> None:
    for path, method in (("/api/jobs/9", "GET"), ("/api/jobs/9/retry", "POST"), ("/api/jobs/9/cancel", "POST")):
        missing = await ask(path, method=method)
        assert (missing.status_code, missing.json()["code"]) == (404, "job_not_found")
    for number in ("0", "-1", "x", str(2**63)):
        assert (await ask(f"/api/jobs/{number}")).status_code == 422


async def test_jobs_are_summed_up_by_kind(context: Context, ask: Ask) -> None:
    await put_jobs(context, 4, dead=1)
    now = context.clock.now()
    await context.db.write(enqueue_many, [NewJob("test.c", {}, now + 10**6)] * 2, now=now)
    await context.db.write(claim, "test.b", worker="w", limit=1, now=now, lease=9)
    found = (await ask("/api/jobs/summary", scope="jobs:read")).json()
    counts = {each["kind"]: (each["waiting"], each["running"], each["dead"]) for each in found}
    assert counts == {"test.a": (1, 0, 1), "test.b": (1, 1, 0), "test.c": (2, 0, 0)}
    assert found[2]["overdue_seconds"] == 0


async def test_many_are_changed_at_once_and_each_says_what_became_of_it(context: Context, ask: Ask) -> None:
    await put_jobs(context, 3, dead=1)
    wanted = {"action": "cancel", "ids": [3, 99, 1, 3]}
    said = (await ask("/api/jobs/actions", scope="jobs:write", method="POST", body=wanted)).json()
    assert [(each["id"], each["done"], each["code"]) for each in said] == [
        (3, True, None),
        (99, False, "job_not_found"),
        (1, False, "job_state"),
    ]
    again = {"action": "retry", "ids": [1, 3]}
    assert all(each["done"] for each in (await ask("/api/jobs/actions", method="POST", body=again)).json())
    assert await actions(context, "job:3") == ["job.retry", "job.cancel"]
    for wrong in ({"action": "retry", "ids": []}, {"action": "burn", "ids": [1]}, {"action": "retry", "ids": [0]}):
        assert (await ask("/api/jobs/actions", method="POST", body=wrong)).status_code == 422
    assert (await ask("/api/jobs/actions", scope="jobs:read", method="POST", body=again)).status_code == 403


async def test_a_schedule_is_run_paused_and_resumed(context: Context, ask: Ask) -> None:
    now = context.clock.now()
    await context.db.write(fire, [Schedule("s", "test.work", Every(10**6), {"n": 1})], now=now)
    (shown,) = (await ask("/api/schedules")).json()
    assert (shown["name"], shown["kind"], shown["paused_at"]) == ("s", "test.work", None)
    paused = await ask("/api/schedules/s/pause", scope="jobs:write", method="POST")
    assert (paused.status_code, paused.json()["paused_at"] is None) == (200, False)
    ran = await ask("/api/schedules/s/run", scope="jobs:write", method="POST")
    assert (ran.status_code, ran.json()["state"], ran.json()["payload"]) == (200, "waiting", {"n": 1})
    busy = await ask("/api/schedules/s/run", method="POST")
    assert (busy.status_code, busy.json()["code"]) == (409, "schedule_busy")
    resumed = await ask("/api/schedules/s/resume", scope="jobs:write", method="POST")
    assert (resumed.status_code, resumed.json()["paused_at"]) == (200, None)
    assert await actions(context, "schedule:s") == ["schedule.resume", "schedule.run", "schedule.pause"]
    for what in ("run", "pause", "resume"):
        assert (await ask(f"/api/schedules/s/{what}", scope="jobs:read", method="POST")).status_code == 403
        missing = await ask(f"/api/schedules/x/{what}", method="POST")
        assert (missing.status_code, missing.json()["code"]) == (404, "schedule_not_found")
