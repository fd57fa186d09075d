"""Hubs with producers and consumers around them, on real databases."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from signalbox.criticality.models import Current
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.criticality.settings import CriticalitySettings
from signalbox.infra.context import Context
from tests.support.databases import Place
from tests.support.hub import Answer, RunningHub, running_hub, settings_at

START = 1_767_225_600_000_000
"""The first moment of 2026, where the clock of tests stands."""
SECOND = 1_000_000
SETTINGS = CriticalitySettings()
PATH = "/api/criticality"


def silent(_tx: Any, _current: Current) -> None:
    """An announcement that nobody hears."""


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def runtime(context: Context) -> AsyncIterator[CriticalityRuntime]:
    """An open runtime."""
    await context.broadcast.open()
    made = CriticalityRuntime(context, SETTINGS)
    await made.open()
    yield made
    await made.close()
    await context.broadcast.close()


class App:
    """An app with a token of its own, which asks one hub or another."""

    def __init__(self, token: str) -> None:
        self.token = token

    async def call(
        self, hub: RunningHub, path: str = "", *, method: str = "GET", body: Any = None, **headers: str
    ) -> Answer:
        """A request below ``/api/criticality``; names of headers are spelt with ``_`` for ``-``."""
        fields = [
            (b"Token", self.token.encode()),
            *((n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()),
        ]
        content = b"" if body is None else json.dumps(body).encode()
        fields += [(b"Content-Type", b"application/json")] if content else []
        return await hub.ask((PATH + path).encode(), method=method.encode(), headers=fields, body=content)

    async def get(self, hub: RunningHub, path: str = "", **headers: str) -> Any:
        """What a GET answers, which must succeed."""
        answer = await self.call(hub, path, **headers)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def report(self, hub: RunningHub, level: int, at: str, *, signal: str = "", **more: Any) -> Any:
        """What a report is answered with, which must succeed."""
        body = {"level": level, "changed_at": at, **more}
        answer = await self.call(hub, signal and f"/{signal}", method="POST", body=body)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


class World:
    """Hubs on one place."""

    def __init__(self, stack: AsyncExitStack, place: Place) -> None:
        self._stack, self.place = stack, place

    async def hub(self, **flags: Any) -> RunningHub:
        return await self._stack.enter_async_context(running_hub(settings_at(self.place, **flags)))

    async def app(self, hub: RunningHub, name: str, *scopes: str, any_app: bool = False) -> App:
        wanted = scopes or ("criticality:read", "criticality:write")
        issued = await hub.token(*wanted, app=None if any_app else name, any_app=any_app)
        return App(issued.text)


@pytest.fixture
async def world(place: Place) -> AsyncIterator[World]:
    """On each database."""
    async with AsyncExitStack() as stack:
        yield World(stack, place)


async def cancel(task: "asyncio.Task[Any]") -> None:
    """End a task."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
