"""The simulated outside world of every kind of channel, behind one interface.

A kind that is not listed in ``WORLDS`` is tried against a plain HTTP server.
"""

import json
import os
import socket
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aio_pika import connect
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

from signalbox.core.registry import PluginSettings
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.http.pool import PooledClient
from signalbox.infra.http.recorded import OwnCall, RecordedClient
from signalbox.notifications.channels import Channel, ChannelKind, Equipment, Notice, build_channel
from signalbox.sandbox.mail import MailServer
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.receiver import ReceiverApp
from signalbox.sandbox.scripted import HANG, Reply, ScriptedApp
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.slack import SlackApp
from signalbox.sandbox.teams import TeamsApp
from signalbox.sandbox.telegram import TelegramApp

LOCAL = {"file", "log"}
"""Kinds without a server that could be away."""
OTHER_CLIENTS = {"apprise", "email", "rabbitmq"}
"""Kinds that do not send through the hub's HTTP client."""

RABBITMQ_VARIABLE = "SIGNALBOX_TEST_RABBITMQ_URL"
RABBITMQ_URL = "amqp://guest:guest@127.0.0.1:5672/"

NOTICE = Notice(
    id="msg_0001",
    topic="sales",
    severity="warning",
    title="A customer waits",
    text="Ada asks for an offer.",
    created_at=1_767_225_600_000_000,
    app="bot",
    customer="c-17",
    metadata={"order": 17},
)

HOSTILE = (
    "<!channel> <script>alert(1)</script> *a* _b_ ~c~ `d` & \x00\x1b[31m\r\nBcc: all@example.com\r\n.\r\nQUIT\r\n"
    "\ud800 \u2028 <https://evil.example|https://bank.example> [x](javascript:1) {{7*7}} 🚂"
)


@dataclass
class Desk:
    """What channels are lent, and the calls that they made."""

    equipment: Equipment
    told: list[OwnCall] = field(default_factory=list)


@asynccontextmanager
async def open_desk(*, allow_private_targets: bool = False) -> AsyncIterator[Desk]:
    pool = PooledClient()
    outbound = RecordedClient(pool, SystemClock())
    desk = Desk(Equipment(outbound, allow_private_targets))
    outbound.listen(desk.told.append)
    yield desk
    await pool.close()


class World:
    """A server and the settings that lead to it."""

    secrets: tuple[str, ...] = ()
    """What must not show."""
    url: str

    def adapt(self, settings: PluginSettings) -> PluginSettings:
        return settings

    @abstractmethod
    async def arrived(self) -> list[str]:
        """What was accepted, in any readable form; each text holds the notice's id and text."""

    def hang(self) -> None:
        """Answer nothing from now on."""

    def refuse(self, why: str) -> None:
        """Refuse everything, in a way that may pass, and say why."""

    @property
    def away_url(self) -> str:
        """Where nobody listens."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            return f"{self.url.partition('://')[0]}://127.0.0.1:{unused.getsockname()[1]}"


class HttpWorld(World):
    """Any server of HTTP."""

    def __init__(self, app: ScriptedApp, secrets: tuple[str, ...] = (), told: Callable[[], Any] | None = None) -> None:
        self.app, self.secrets = app, secrets
        self._told = told

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["HttpWorld"]:
        async with LoopbackServer(self.app, grace=0.05) as server:
            self.url = server.url
            yield self

    async def arrived(self) -> list[str]:
        if self._told is not None:
            return [json.dumps(each) for each in self._told()]
        return [each.body.decode() for each in self.app.received]

    def hang(self) -> None:
        self.app.always = HANG

    def refuse(self, why: str) -> None:
        self.app.always = Reply(503, why.encode(), [(b"retry-after", b"7")])


class MailWorld(World):
    def __init__(self) -> None:
        self.server = MailServer()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["MailWorld"]:
        async with self.server as server:
            self.url = server.url
            yield self

    async def arrived(self) -> list[str]:
        return [mail.message.as_string() for mail in self.server.mails]

    def hang(self) -> None:
        self.server.refuse["MAIL"] = ""

    def refuse(self, why: str) -> None:
        self.server.refuse["MAIL"] = f"451 {why}"


class RabbitmqWorld(World):
    secrets = ("guest:guest",)

    def __init__(self) -> None:
        self.url = os.environ.get(RABBITMQ_VARIABLE) or RABBITMQ_URL
        self.exchange = f"signalbox-test-{uuid4().hex}"

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["RabbitmqWorld"]:
        try:
            connection = await connect(self.url, timeout=10)
        except (OSError, TimeoutError):
            pytest.fail(f"no RabbitMQ answers; start one, or set {RABBITMQ_VARIABLE}", pytrace=False)
        async with connection:
            self._channel = await connection.channel()
            self._bound = await self._channel.declare_exchange(self.exchange, "topic")
            self._queue = await self._bind({})
            yield self
            await self._bound.delete()

    def adapt(self, settings: PluginSettings) -> PluginSettings:
        return settings.model_copy(update={"exchange": self.exchange})

    async def arrived(self) -> list[str]:
        return [message.body.decode() for message in await self.messages()]

    async def messages(self) -> list[AbstractIncomingMessage]:
        got = []
        while (message := await self._queue.get(no_ack=True, fail=False)) is not None:
            got.append(message)
        return got

    async def unbind(self) -> None:
        """Let no queue take anything."""
        await self._queue.unbind(self._bound, "#")

    async def limit(self, length: int) -> None:
        """Let the only queue refuse what is beyond the length."""
        await self.unbind()
        self._queue = await self._bind({"x-max-length": length, "x-overflow": "reject-publish"})

    async def _bind(self, arguments: dict[str, Any]) -> AbstractQueue:
        queue = await self._channel.declare_queue(exclusive=True, arguments=arguments)
        await queue.bind(self._bound, "#")
        return queue


class FileWorld(World):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "notices.jsonl"
        self.url = f"file://{self.path}"

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FileWorld"]:
        yield self

    async def arrived(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines()


class LogWorld(World):
    url = ""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        caplog.set_level("INFO")

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["LogWorld"]:
        yield self

    async def arrived(self) -> list[str]:
        return [json.dumps(vars(record), default=str) for record in self._caplog.records if "notice" in vars(record)]


def _slack() -> HttpWorld:
    app = SlackApp(interval=0)
    return HttpWorld(app, ("T000/B000/XXXX",), lambda: app.messages)


def _telegram() -> HttpWorld:
    app = TelegramApp()
    return HttpWorld(app, ("123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11",), lambda: app.messages)


def _teams() -> HttpWorld:
    app = TeamsApp(per_second=100)
    return HttpWorld(app, ("Zx-9_example",), lambda: app.messages)


@asynccontextmanager
async def open_world(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[World]:
    worlds: dict[str, Callable[[], Any]] = {
        "slack": _slack,
        "telegram": _telegram,
        "teams": _teams,
        "webhook": lambda: HttpWorld(ReceiverApp(), ("/hooks/billing",)),
        "apprise": lambda: HttpWorld(ReceiverApp()),
        "email": MailWorld,
        "rabbitmq": RabbitmqWorld,
        "file": lambda: FileWorld(tmp_path),
        "log": lambda: LogWorld(caplog),
    }
    async with AsyncExitStack() as stack:
        made = worlds.get(kind, lambda: HttpWorld(ScriptedApp()))()
        yield await stack.enter_async_context(made.serve())


@asynccontextmanager
async def open_channel(
    settings: PluginSettings, equipment: Equipment, kind: ChannelKind | None = None
) -> AsyncIterator[Channel]:
    """A channel of the settings' kind, or of one that lies in no package."""
    channel = build_channel(settings, equipment) if kind is None else kind(settings, equipment)
    yield channel
    await channel.close()


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """An address that accepts connections and says nothing, as ``host:port``."""
    async with RawUpstream() as raw:
        yield raw.url.removeprefix("http://")
