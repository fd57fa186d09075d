import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from signalbox.auth.cache import CredentialCache
from signalbox.auth.errors import InvalidTokenError
from signalbox.auth.search import CredentialSearch
from signalbox.auth.settings import AuthSettings
from signalbox.auth.signing import SigningKey
from signalbox.auth.tokens import digest_of, new_token
from signalbox.infra.db import Database, DatabaseUnavailableError
from tests.auth.conftest import Desk


class Counted:
    """The database, with its reads counted."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect, self.write, self.close = database.dialect, database.write, database.close
        self.stamp = database.stamp
        self.reads = 0

    async def read(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.reads += 1
        return await self._database.read(fn, *args, **kwargs)


def open_search(desk: Desk, database: Database) -> tuple[CredentialSearch, CredentialCache]:
    cache = CredentialCache()
    key = SigningKey(database, AuthSettings())
    return CredentialSearch(database, clock=desk.context.clock, cache=cache, key=key), cache


async def find(search: CredentialSearch, token: str) -> str:
    return (await search.find(token.encode(), digest=digest_of(token.encode()))).principal.name


async def test_requests_with_one_token_share_one_search(desk: Desk) -> None:
    counted = Counted(desk.context.db)
    search, _ = open_search(desk, counted)
    text = (await desk.create_token()).text
    assert set(await asyncio.gather(*(find(search, text) for _ in range(100)))) == {"shop"}
    assert counted.reads == 1
    assert not search._under_way


async def test_who_gives_up_waiting_harms_nobody(desk: Desk) -> None:
    search, cache = open_search(desk, desk.context.db)
    text = (await desk.create_token()).text
    impatient, patient = (asyncio.ensure_future(find(search, text)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "shop"
    assert cache.find(digest_of(text.encode()), at=0)
    alone = asyncio.ensure_future(find(search, new_token()))
    await asyncio.sleep(0)
    alone.cancel()
    while search._under_way:
        await asyncio.sleep(0.001)


async def test_the_unknown_is_asked_for_once_in_half_a_second(desk: Desk) -> None:
    counted = Counted(desk.context.db)
    search, _ = open_search(desk, counted)
    text = new_token()
    for _ in range(10):
        with pytest.raises(InvalidTokenError, match="unknown"):
            await find(search, text)
    assert counted.reads == 1
    desk.clock.advance(0.5)
    with pytest.raises(InvalidTokenError, match="unknown"):
        await find(search, text)
    assert counted.reads == 2


@pytest.mark.parametrize("text", ["", "x", "sbx_", "sbx_short", "sbx_" + "?" * 40, "a.b.c", "é"])
async def test_what_cannot_be_a_token_is_not_asked_for(desk: Desk, text: str) -> None:
    counted = Counted(desk.context.db)
    search, _ = open_search(desk, counted)
    await search._key.get()
    before = counted.reads
    with pytest.raises(InvalidTokenError):
        await find(search, text)
    assert counted.reads == before


async def test_an_absent_database_is_not_taken_for_a_bad_token(desk: Desk) -> None:
    search, _ = open_search(desk, desk.context.db)
    text = (await desk.create_token()).text

    def crash(_tx: Connection) -> None:
        msg = "not reached"
        raise AssertionError(msg)

    await desk.context.db.close()
    with pytest.raises(DatabaseUnavailableError):
        await desk.context.db.read(crash)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError):
            await find(search, text)
