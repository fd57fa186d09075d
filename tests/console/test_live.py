import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from signalbox.auth.sessions import BrowserSession
from signalbox.console.errors import TooManyStreamsError
from signalbox.console.live import Live, Sources
from tests.console.conftest import SignedIn, Visitor, services_of
from tests.support.hub import Client, RunningHub, request
from tests.support.timing import PATIENCE

counted = {"lamps": 0}


def mark(_tx: Connection) -> object:
    return counted["lamps"]


def broken_mark(_tx: Connection) -> object:
    if counted["lamps"] < 0:
        msg = "no mark"
        raise ValueError(msg)
    return counted["lamps"]


def rename(tx: Connection, old: str, new: str) -> None:
    tx.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")


SOURCES = Sources(channels={"criticality": "levels"}, marks={"lamps": mark}, ticks={"tick": 2})


async def session_of(somebody: Visitor) -> BrowserSession:
    found = await somebody.hub.hub.auth.sessions.find(somebody.cookie.partition("=")[2])
    assert found is not None
    return found


@pytest.fixture
async def live(hub: RunningHub) -> AsyncIterator[Live]:
    services = services_of(hub)
    made = Live(services.context, services.auth.sessions, SOURCES, most=2)
    await made.open()
    yield made
    await made.close()


async def test_a_mark_that_differs_is_a_change(live: Live) -> None:
    assert await live.look() == set()
    counted["lamps"] += 1
    assert "lamps" in await live.look()
    assert "lamps" not in await live.look()


async def test_what_the_hub_broadcasts_is_a_change(live: Live, hub: RunningHub) -> None:
    broadcast = hub.hub.context.broadcast
    await hub.hub.context.db.write(lambda tx: broadcast.publish(tx, "criticality", "x"))
    await asyncio.sleep(0.1)
    assert "levels" in await live.look()


async def test_some_topics_change_by_themselves(live: Live) -> None:
    assert ["tick" in await live.look() for _ in range(4)] == [False, True, False, True]


async def test_no_more_pages_are_followed_than_allowed(live: Live, signed_in: SignedIn) -> None:
    session = await session_of(await signed_in("user"))
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(live.following(live.stream(session)._reader))
        assert live.streams == 2
        with pytest.raises(TooManyStreamsError):
            live.stream(session)
    assert live.streams == 0


async def test_nobody_takes_all_places(hub: RunningHub, signed_in: SignedIn) -> None:
    services = services_of(hub)
    live = Live(services.context, services.auth.sessions, SOURCES)
    greedy, other = await session_of(await signed_in("user")), await session_of(await signed_in("user"))
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(live.following(live.stream(greedy)._reader))
        with pytest.raises(TooManyStreamsError, match="you have 20 pages open already"):
            live.stream(greedy)
        live.stream(other)
    live.stream(greedy)


async def test_a_look_that_fails_forgets_nothing(hub: RunningHub) -> None:
    services = services_of(hub)
    live = Live(services.context, services.auth.sessions, Sources(ticks={"tick": 1}, marks={"lamps": broken_mark}))
    live.tell("levels")
    counted["lamps"] = -1
    with pytest.raises(ValueError, match="no mark"):
        await live.look()
    counted["lamps"] = 0
    assert await live.look() == {"levels", "tick"}


async def test_what_could_not_be_told_is_told_later(hub: RunningHub, signed_in: SignedIn) -> None:
    services = services_of(hub)
    live = Live(services.context, services.auth.sessions, Sources())
    with live.following(live.stream(await session_of(await signed_in("user")))._reader):
        await services.context.db.write(rename, "session", "away")
        with pytest.raises(SQLAlchemyError):
            await live._tell_all({"levels"})
        await services.context.db.write(rename, "away", "session")
        assert await live.look() == {"levels"}


async def test_nothing_is_read_while_nobody_looks(live: Live) -> None:
    await asyncio.sleep(0.05)
    assert live._ticks == 0


@contextlib.asynccontextmanager
async def following(somebody: Visitor) -> AsyncIterator[Client]:
    async with somebody.hub.client() as client:
        await client.send(request(b"/console/live", headers=[(b"Cookie", somebody.cookie.encode())]))
        status, headers, _ = await client.head()
        assert status == 200
        assert dict(headers)[b"content-type"].startswith(b"text/event-stream")
        yield client


async def until(client: Client, wanted: bytes) -> bytes:
    got = b""
    async with asyncio.timeout(PATIENCE):
        while wanted not in got:
            piece = await client.reader.read(65_536)
            assert piece, got
            got += piece
    return got


async def test_open_pages_are_told(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    async with following(somebody) as client:
        assert b"event: changed\ndata: " in await until(client, b"gateway")


async def test_whoever_is_signed_out_is_followed_no_more(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    async with following(somebody) as client:
        await until(client, b"retry")
        await somebody.hub.hub.auth.sessions.end(await session_of(somebody))
        await until(client, b"event: ended")


async def test_a_stream_ends_when_the_process_drains(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    async with following(somebody) as client:
        await until(client, b"retry")
        somebody.hub.hub.context.drain.begin()
        await until(client, b"this server is ending")


async def test_nobody_follows_without_a_session(visitor: Visitor) -> None:
    assert (await visitor.get("/live")).status == 303
