import asyncio
import json
from collections import defaultdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from signalbox.infra.http.pool import PooledClient
from signalbox.sandbox.errands import TOPICS, run_errands
from signalbox.sandbox.server import LoopbackServer
from tests.support.timing import PATIENCE


class Desk:
    """Keeps what is handed in."""

    def __init__(self) -> None:
        self.got: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.heads: list[tuple[str | None, str | None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.heads.append((request.headers.get("token"), request.headers.get("app-name")))
        self.got[request.url.path].append(json.loads(await request.body()))
        await JSONResponse({}, 503)(scope, receive, send)  # whatever it is answered, it goes on


async def test_tasks_and_questions_come_as_the_hub_wants_them() -> None:
    desk, client = Desk(), PooledClient()
    async with LoopbackServer(desk) as server:
        running = asyncio.create_task(run_errands(server.url, client=client, token="t", tasks=100, questions=100))
        async with asyncio.timeout(PATIENCE):
            while min(len(desk.got["/api/tasks"]), len(desk.got["/api/assistance"])) < 20:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await client.close()
    assert set(desk.heads) == {("t", "back-end")}
    assert all(task["provider"] == "checks" and task["payload"]["address"] for task in desk.got["/api/tasks"])
    assert {question["topic"] for question in desk.got["/api/assistance"]} <= set(TOPICS)
    assert all(question["description"] and question["customer"] for question in desk.got["/api/assistance"])


async def test_a_hub_that_is_away_is_asked_again() -> None:
    client = PooledClient()
    running = asyncio.create_task(run_errands("http://127.0.0.1:9", client=client, token="t", tasks=100, questions=100))
    await asyncio.sleep(0.3)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await client.close()
