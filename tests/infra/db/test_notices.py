"""News of PostgreSQL, as soon as they are there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest

from signalbox.infra.db.notices import hear
from tests.support.databases import PostgresqlServer
from tests.support.timing import PATIENCE


@pytest.fixture
async def url(postgresql_server: PostgresqlServer) -> AsyncIterator[str]:
    with postgresql_server.database() as place:
        yield place.url


async def listening(url: str) -> psycopg.AsyncConnection:
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    await connection.execute("LISTEN news")
    return connection


async def test_what_is_told_while_one_waits_and_what_was_told_before(url: str) -> None:
    async with await listening(url) as hearer, await listening(url) as other:
        waiting = asyncio.create_task(hear(hearer, within=60))
        await asyncio.sleep(0.05)
        await other.execute("NOTIFY news, 'a'")
        assert [notice.payload for notice in await asyncio.wait_for(waiting, PATIENCE)] == ["a"]
        await other.execute("NOTIFY news, 'b'")
        await hearer.execute("SELECT 1")  # it comes with the answer
        assert [notice.payload for notice in await hear(hearer, within=PATIENCE)] == ["b"]


async def test_silence_is_nothing(url: str) -> None:
    async with await listening(url) as hearer:
        assert await hear(hearer, within=0.05) == []


async def test_who_is_cut_off_hears_so(url: str) -> None:
    async with await listening(url) as hearer, await listening(url) as other:
        waiting = asyncio.create_task(hear(hearer, within=60))
        await asyncio.sleep(0.05)
        await other.execute("SELECT pg_terminate_backend(%s)", (hearer.info.backend_pid,))
        with contextlib.suppress(psycopg.Error):
            assert await asyncio.wait_for(waiting, PATIENCE) == []
        with pytest.raises(psycopg.Error):
            await hearer.execute("SELECT 1")
