"""A hub behind a relay that can be cut, as networks do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.databases import SqliteTemplate
from tests.support.hub import RunningHub, running_hub, settings_at


class Relay:
    """Passes bytes on to a hub, until it is cut."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.accepted = 0
        self.open = True
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break all connections and take no more."""
        self.open = False
        for writer in list(self._writers):
            writer.transport.abort()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if not self.open:
            writer.transport.abort()
            return
        back, forth = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self._pass(reader, forth), self._pass(back, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, RuntimeError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()


@pytest.fixture
async def hub(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    place = sqlite_template.copy_to(tmp_path_factory.mktemp("hub"))
    async with running_hub(settings_at(place)) as made:
        yield made


@pytest.fixture
async def relay(hub: RunningHub) -> AsyncIterator[Relay]:
    made = Relay(hub.port)
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    made.cut()


@pytest.fixture
async def token(hub: RunningHub) -> str:
    return (await hub.token("criticality:read", "criticality:write", app="shop")).text
