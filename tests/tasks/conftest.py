"""A hub with a simulated provider behind it, both real and on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from signalbox.sandbox.provider import ProviderApp
from signalbox.sandbox.server import LoopbackServer
from tests.support.databases import Place
from tests.support.hub import Answer, RunningHub, running_hub, settings_at
from tests.support.timing import PATIENCE

NAME = "acme"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production."""
    return {"uvloop": uvloop.new_event_loop}


class Office:
    """A hub, its provider, and clients with tokens."""

    def __init__(self, hub: RunningHub, provider: ProviderApp) -> None:
        self.hub, self.provider = hub, provider
        self._tokens: dict[str, str] = {}

    async def call(
        self, method: str, path: str, body: Any = None, *, app: str = "shop", raw: bytes | None = None, **headers: str
    ) -> Answer:
        """A request of an app that may do everything with tasks; names of headers are spelt with ``_`` for ``-``."""
        if app not in self._tokens:
            self._tokens[app] = (await self.hub.token("tasks:read", "tasks:write", app=app)).text
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        fields = [(b"Token", self._tokens[app].encode()), (b"Content-Type", b"application/json")]
        fields += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return await self.hub.ask(path.encode(), method=method.encode(), headers=fields, body=content)

    async def get(self, path: str) -> Any:
        """What a GET answers, which must succeed."""
        answer = await self.call("GET", path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def hand_over(self, **task: Any) -> dict[str, Any]:
        answer = await self.call("POST", "/api/tasks", task)
        assert answer.status == 201, answer.body
        made: dict[str, Any] = json.loads(answer.body)["task"]
        return made

    async def until(self, number: int, status: str) -> dict[str, Any]:
        """The task once it has a status."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found: dict[str, Any] = (await self.get(f"/api/tasks/{number}"))["task"]
                if found["status"] == status:
                    return found
                await asyncio.sleep(0.02)


@pytest.fixture
async def office(place: Place) -> AsyncIterator[Office]:
    """On each database; its provider ``acme`` is the default one, and quick."""
    async with AsyncExitStack() as stack:
        provider = ProviderApp()
        server = await stack.enter_async_context(LoopbackServer(provider))
        acme = {
            "name": NAME,
            "kind": "http-json",
            "submit_url": f"{server.url}/tasks",
            "submit_headers": {"Idempotency-Key": "{reference}"},
            "body": {"id": "{id}", "payload": "{payload}"},
            "lookup_url": f"{server.url}/tasks?reference={{reference}}",
            "list_url": f"{server.url}/tasks",
            "poll_interval": 0.2,
        }
        settings = settings_at(place, tasks={"providers": [acme], "default_provider": NAME})
        yield Office(await stack.enter_async_context(running_hub(settings)), provider)
