"""A hub that sends to simulated receivers over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvloop
from typer.testing import CliRunner

from signalbox.app.hub import open_context
from signalbox.infra.context import Context
from signalbox.notifications.commands import build_commands
from signalbox.notifications.routing import Routing, compile_routing
from signalbox.notifications.schemas import NewMessage
from signalbox.notifications.settings import NotificationSettings
from signalbox.sandbox.receiver import ReceiverApp
from signalbox.sandbox.server import LoopbackServer
from tests.support.databases import Place
from tests.support.hub import Answer, RunningHub, running_hub, settings_at
from tests.support.timing import PATIENCE

START = 1_767_225_600_000_000
"""The first moment of 2026, where the clock of tests stands."""
SECOND = 1_000_000
FAST = ["1s"] * 3


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production."""
    return {"uvloop": uvloop.new_event_loop}


class Desk:
    """A hub, its receivers, and somebody who asks it everything."""

    def __init__(self, hub: RunningHub, receivers: Mapping[str, ReceiverApp], token: str) -> None:
        self.hub, self.receivers, self._token = hub, receivers, token

    async def call(self, path: str, body: Any = None, *, method: str | None = None, **headers: str) -> Answer:
        """A request of a manager; names of headers are spelt with ``_`` for ``-``."""
        content = b"" if body is None else json.dumps(body).encode()
        fields = [] if body is None else [(b"Content-Type", b"application/json")]
        fields += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        verb = method or ("GET" if body is None else "POST")
        return await self.hub.ask(
            path.encode(), method=verb.encode(), headers=[(b"Token", self._token.encode()), *fields], body=content
        )

    async def get(self, path: str) -> Any:
        answer = await self.call(path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def post(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = await self.call(path, body, method="POST")
        assert answer.status == status, answer.body
        return json.loads(answer.body) if answer.body else None

    async def ask(self, topic: str = "sales", description: str = "Please call back", **more: Any) -> Any:
        """Ask for assistance."""
        return await self.post("/api/assistance", {"topic": topic, "description": description, **more}, status=202)

    async def shown(self, id_: str, when: Callable[[Any], object]) -> Any:
        """A message, once it is as wanted."""
        found = None
        async with asyncio.timeout(PATIENCE):
            while not when(found := await self.get(f"/api/notifications/{id_}")):
                await asyncio.sleep(0.02)
        return found

    async def delivered(self, id_: str, state: str = "sent") -> Any:
        """A message, once all its deliveries are in a state."""
        return await self.shown(id_, lambda found: {each["state"] for each in found["deliveries"]} == {state})


class World:
    """Where hubs and receivers are made."""

    def __init__(self, stack: AsyncExitStack, place: Place) -> None:
        self._stack, self.place = stack, place

    async def receiver(self) -> tuple[ReceiverApp, str]:
        app = ReceiverApp()
        server = await self._stack.enter_async_context(LoopbackServer(app))
        return app, server.url

    async def webhook(self, name: str, **more: Any) -> tuple[ReceiverApp, dict[str, Any]]:
        """A receiver, and the settings of a channel that sends to it."""
        app, url = await self.receiver()
        return app, {"kind": "webhook", "name": name, "url": f"{url}/in", "retries": FAST, **more}

    async def hub(self, **notifications: Any) -> RunningHub:
        settings = settings_at(self.place, notifications=notifications)
        return await self._stack.enter_async_context(running_hub(settings))

    async def desk(self, *channels: str, **notifications: Any) -> Desk:
        """A hub with a receiver for each channel; without routes, every topic goes to all of them."""
        made = {name: await self.webhook(name) for name in channels}
        notifications.setdefault("routes", [{"topic": "*", "channels": list(channels)}])
        return await self.desk_at(
            {name: app for name, (app, _) in made.items()}, [each for _, each in made.values()], **notifications
        )

    async def desk_at(
        self, receivers: Mapping[str, ReceiverApp], channels: list[dict[str, Any]], **notifications: Any
    ) -> Desk:
        hub = await self.hub(channels=channels, **notifications)
        issued = await hub.token("manager", "assistance")
        return Desk(hub, receivers, issued.text)


class Terminal:
    """Somebody who types commands; each works on databases of its own."""

    def __init__(self, place: Place) -> None:
        self._settings = settings_at(place)
        routes = [{"topic": "sales", "metadata": {"region": "eu*"}, "channels": ["chat"], "name": "eu"}]
        notifications = settings_of("chat", routes=routes)
        self._app = build_commands(self.open, lambda: notifications)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Context]:
        async with open_context(self._settings) as context:
            yield context

    def write(self, fn: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Change something behind the back of the commands."""

        async def work() -> Any:
            async with self.open() as context:
                return await context.db.write(fn, *args, **named)

        return asyncio.run(work())

    def run(self, *words: str, status: int = 0) -> str:
        """What a command prints to stdout; what it raises is raised."""
        result = CliRunner().invoke(self._app, words, catch_exceptions=False)
        assert result.exit_code == status, result.stderr
        return result.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))


@pytest.fixture
def terminal(place: Place) -> Terminal:
    return Terminal(place)


@pytest.fixture
async def world(place: Place) -> AsyncIterator[World]:
    """On each database."""
    async with AsyncExitStack() as stack:
        yield World(stack, place)


def settings_of(*channels: str, **more: Any) -> NotificationSettings:
    """Settings with channels that write to the log; without routes, every topic goes to all of them."""
    values: dict[str, Any] = {"channels": [{"kind": "log", "name": name} for name in channels]}
    values["routes"] = [{"topic": "*", "channels": list(channels)}]
    return NotificationSettings.model_validate({**values, **more})


def routing_of(*channels: str, **more: Any) -> Routing:
    """The routes of such settings."""
    return compile_routing(settings_of(*channels, **more))


def message_of(topic: str = "sales", description: str = "Please call back", **more: Any) -> NewMessage:
    """A message to accept."""
    return NewMessage(topic, description, "api", **more)
