from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
from fastapi import FastAPI

from signalbox.app import errors
from signalbox.auth.audit import record
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.security import Guard
from signalbox.auth.service import create_token
from signalbox.auth.settings import AuthSettings
from signalbox.infra.context import Context
from signalbox.infra.events import Event, publish
from signalbox.ops.routes.trail import build_router

Ask = Callable[..., Awaitable[httpx2.Response]]
START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


@pytest.fixture
async def ask(context: Context) -> AsyncIterator[Ask]:
    runtime = AuthRuntime(context, AuthSettings())
    await runtime.open()
    app = FastAPI()
    app.include_router(build_router(context, Guard(runtime)))
    errors.install(app)
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub")

    async def ask(
        path: str = "/api/audit", scope: str | None = "manager", method: str = "GET", **filters: str | int
    ) -> httpx2.Response:
        headers = {} if scope is None else {"Token": await token(context, scope)}
        return await client.request(method, path, params=filters or None, headers=headers)

    yield ask
    await client.aclose()
    await runtime.close()


async def token(context: Context, scope: str) -> str:
    issued = await context.db.write(
        create_token, app=scope, scopes=[scope], expires_at=None, actor="desk", at=START - 1
    )
    return issued.text


async def fill(context: Context, count: int) -> None:
    for number in range(count):
        actor, after = f"user:{number % 2}", {"number": number}
        action, target, at = f"thing.{number % 3}", f"thing:{number}", START + number * 1_000_000
        await context.db.write(
            record, actor=actor, action=action, target=target, before=None, after=after, at=at, request_id="r"
        )


def numbers(answer: httpx2.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [entry["after"]["number"] for entry in answer.json() if entry["action"].startswith("thing")]


async def test_an_entry_on_the_wire(context: Context, ask: Ask) -> None:
    await fill(context, 1)
    (entry,) = (await ask(target="thing:0")).json()
    assert entry == {
        "id": 1,
        "at": "2026-01-01T00:00:00Z",
        "actor": "user:0",
        "action": "thing.0",
        "target": "thing:0",
        "before": None,
        "after": {"number": 0},
        "request_id": "r",
    }


async def test_the_audit_is_for_managers(ask: Ask) -> None:
    assert (await ask(scope=None)).status_code == 401
    for scope in ("user", "jobs:read", "jobs:write"):
        refused = await ask(scope=scope)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
        assert "manager" in refused.json()["detail"]
    assert (await ask(scope="manager")).status_code == 200


async def test_entries_are_filtered_newest_first(context: Context, ask: Ask) -> None:
    await fill(context, 6)
    assert numbers(await ask()) == [5, 4, 3, 2, 1, 0]
    assert numbers(await ask(actor="user:1")) == [5, 3, 1]
    assert numbers(await ask(action="thing.0")) == [3, 0]
    assert numbers(await ask(target="thing:4")) == [4]
    assert numbers(await ask(since="2026-01-01T00:00:02Z", until="2026-01-01T01:00:04+01:00")) == [3, 2]
    assert numbers(await ask(actor="nobody")) == []


async def test_links_lead_through_all_pages(context: Context, ask: Ask) -> None:
    await fill(context, 7)
    answer = await ask(actor="user:0", limit=3)
    assert numbers(answer) == [6, 4, 2]
    link = answer.headers["link"]
    assert link.startswith("</api/audit?actor=user%3A0&limit=3&cursor=")
    assert link.endswith('>; rel="next"')
    following = await ask(link[1 : link.index(">")])
    assert numbers(following) == [0]
    assert "link" not in following.headers


async def test_there_are_fifty_unless_said_otherwise(context: Context, ask: Ask) -> None:
    await fill(context, 60)
    assert len((await ask()).json()) == 50
    assert len((await ask(limit=500)).json()) == 62


@pytest.mark.parametrize(
    ("filters", "status"),
    [
        ({"limit": 0}, 422),
        ({"limit": 501}, 422),
        ({"since": "2026-01-01T00:00:00"}, 422),
        ({"until": "yesterday"}, 422),
        ({"actor": "a\0b"}, 422),
        ({"actor": "x" * 201}, 422),
        ({"cursor": "nonsense"}, 400),
        ({"cursor": "x" * 101}, 422),
    ],
)
async def test_what_cannot_be_asked_is_said(ask: Ask, filters: dict[str, str | int], status: int) -> None:
    assert (await ask(**filters)).status_code == status


async def test_events_are_listed_newest_first_in_pages(context: Context, ask: Ask) -> None:
    for number in range(5):
        topic = "gateway.upstream_down" if number % 2 else "job.dead"
        event = Event(topic, {"number": number}, severity="error", dedup_key=f"k{number}")
        await context.db.write(publish, event, now=START + number)
    first = await ask("/api/events", scope="user", limit=2)
    assert [event["data"]["number"] for event in first.json()] == [4, 3]
    assert first.json()[0] == {
        "id": 5,
        "topic": "job.dead",
        "severity": "error",
        "data": {"number": 4},
        "dedup_key": "k4",
        "created_at": "2026-01-01T00:00:00.000004Z",
    }
    following = first.links["next"]["url"]
    second = await ask(following, scope="user")
    assert [event["data"]["number"] for event in second.json()] == [2, 1]
    only = await ask("/api/events", scope="user", topic="gateway.*")
    assert [event["data"]["number"] for event in only.json()] == [3, 1]


async def test_events_are_for_those_who_may_read(ask: Ask) -> None:
    assert (await ask("/api/events", scope=None)).status_code == 401
    assert (await ask("/api/events", scope="gateway")).status_code == 403
    refused = await ask("/api/events", scope="user", topic="Not a topic")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_topic")
