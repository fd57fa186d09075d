"""``kill -9`` while 64 clients write: what was answered with 2xx is there."""

import asyncio
import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from signalbox.app.load import Sources, load
from signalbox.app.settings import Settings
from tests.support.databases import PostgresqlServer
from tests.support.durable_hub import PATH, drop_table, read_notes
from tests.support.hub import Client, request
from tests.support.processes import Server, python_server, until
from tests.support.timing import PATIENCE

CLIENTS = 64
ROUNDS = 3
AT_LEAST = 1_000
"""Writes that are answered before the kill."""


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Where the notes are."""
    if request.param == "sqlite":
        yield load({"database_url": f"sqlite:///{tmp_path}/signalbox.db"}, Sources())
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    with server.database() as place:
        made = load({"database_url": place.url}, Sources())
        yield made
        drop_table(made)


async def write(port: int, name: str, kept: set[str]) -> None:
    """Write notes one after another until the connection breaks."""
    client = await Client.connect(port)
    try:
        for number in itertools.count():
            text = f"{name}-{number}"
            await client.send(request(PATH.encode(), method=b"POST", body=b'{"text": "%b"}' % text.encode()))
            if (await client.answer()).status == 201:
                kept.add(text)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        await client.close()


async def write_until_killed(server: Server, name: str) -> set[str]:
    """The notes that were answered with 201 before the server died."""
    kept: set[str] = set()
    port = int(server.url.rpartition(":")[2])
    writers = [asyncio.create_task(write(port, f"{name}-{number}", kept)) for number in range(CLIENTS)]
    async with asyncio.timeout(PATIENCE):
        while len(kept) < AT_LEAST:
            await asyncio.sleep(0.001)
        server.send(signal.SIGKILL)
        await asyncio.gather(*writers)
    return kept


async def test_what_was_answered_is_there_after_kill_9(settings: Settings, tmp_path: Path) -> None:
    assert settings.database_url is not None
    variables = {
        "SIGNALBOX_DATABASE_URL": settings.database_url.reveal(),
        "SIGNALBOX_AUTH__ANONYMOUS_SCOPES": '["tasks:write"]',
    }
    answered: set[str] = set()
    for number in range(ROUNDS):
        with python_server("tests.support.durable_hub", folder=tmp_path / f"{number}", **variables) as server:
            await asyncio.to_thread(until, server.serves)
            answered |= await write_until_killed(server, f"round-{number}")
            assert server.wait() == -signal.SIGKILL
        rows = [row.text for row in await asyncio.to_thread(read_notes, settings)]
        kept = set(rows)
        assert len(rows) == len(kept)
        assert answered - kept == set()
        # what was kept without an answer was under way when the server died: at most one note for each client
        assert len(kept - answered) <= CLIENTS * (number + 1)
