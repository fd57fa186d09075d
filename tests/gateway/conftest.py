"""A hub with upstreams behind it, all real and on loopback."""

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.types import ASGIApp

from signalbox.app.hub import calls_path
from signalbox.gateway.schemas import Call, CallOut, Filters
from signalbox.gateway.service import list_calls
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.upstream import UpstreamApp
from signalbox.sandbox.wire import Call as SeenCall
from tests.support.databases import Place, PostgresqlPlace, PostgresqlServer, SqlitePlace, SqliteTemplate
from tests.support.hub import RunningHub, running_hub, serving, settings_at
from tests.support.timing import PATIENCE


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production: how connections end differs between loops."""
    return {"uvloop": uvloop.new_event_loop}


class World:
    """Upstreams and hubs, made as a test asks for them; all of them end with the test."""

    def __init__(self, stack: AsyncExitStack, place: Place) -> None:
        self._stack, self.place = stack, place
        self.shop = UpstreamApp(latency=False)
        """The well-behaved upstream, named ``shop`` in ``shop_hub``."""
        self.raw: RawUpstream
        """The upstream that shows and breaks everything, named ``raw`` in ``hub``."""

    async def open(self) -> None:
        self.raw = await self._stack.enter_async_context(RawUpstream())

    async def serve(self, app: ASGIApp) -> str:
        """The address of an app."""
        config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False)
        return f"http://127.0.0.1:{await self._stack.enter_async_context(serving(config))}"

    async def hub(self, *upstreams: dict[str, Any], gateway: dict[str, Any] | None = None, **flags: Any) -> RunningHub:
        """A hub with these upstreams, by default ``raw`` alone, which also takes whatever no other claims."""
        listed = upstreams or ({"name": "raw"},)
        settings = {
            "upstreams": [{"url": self.raw.url, **each} for each in listed],
            "default": "raw" if any(each["name"] == "raw" for each in listed) else None,
            **(gateway or {}),
        }
        return await self._stack.enter_async_context(running_hub(settings_at(self.place, gateway=settings, **flags)))

    async def shop_hub(self, *, auth: dict[str, Any] | None = None, **more: Any) -> RunningHub:
        """A hub whose default is the shop."""
        upstream = {"name": "shop", "url": await self.serve(self.shop), **more}
        return await self.hub(upstream, gateway={"default": "shop"}, auth=auth or {})

    @property
    def seen(self) -> SeenCall:
        """The newest request that ``raw`` has seen."""
        return self.raw.calls[-1]


@pytest.fixture
async def world(sqlite_template: SqliteTemplate, tmp_path: Path) -> AsyncIterator[World]:
    """On SQLite; tests about what is stored take ``each_world`` instead."""
    async with _world(sqlite_template.copy_to(tmp_path)) as made:
        yield made


@pytest.fixture
async def each_world(place: Place) -> AsyncIterator[World]:
    """On each database."""
    async with _world(place) as made:
        yield made


@asynccontextmanager
async def _world(place: Place) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = World(stack, place)
        await made.open()
        yield made


@pytest.fixture
def away(place: Place, request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[None]]:
    """``with away():`` nobody can write statistics. On SQLite a writer gives up after five seconds of this."""
    if isinstance(place, SqlitePlace):
        return functools.partial(_locked, [place.folder / "calls.db", calls_path(place.path)])
    assert isinstance(place, PostgresqlPlace)
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return functools.partial(server.closed, place)


@contextmanager
def _locked(paths: Sequence[Path]) -> Iterator[None]:
    """SQLite files held by another process's transaction; ``paths`` that do not exist are left out."""
    with contextlib.ExitStack() as stack:
        for path in paths:
            if path.exists():
                connection = stack.enter_context(contextlib.closing(sqlite3.connect(path, timeout=5)))
                connection.execute("BEGIN IMMEDIATE")
        yield


async def recorded(hub: RunningHub, count: int = 1, **filters: Any) -> list[CallOut]:
    """The calls that the hub has recorded, oldest first, once there are ``count``."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await hub.flush()
            page = await hub.hub.context.calls_db.read(list_calls, Filters(**filters), cursor=None, limit=500)
            if len(page.items) >= count:
                return page.items[::-1]
            await asyncio.sleep(0.01)


START = 1_767_225_600_000_000
"""The first moment of 2026, where the clock of tests stands."""


def made_call(**fields: Any) -> Call:
    """A record of a call, with what is not given made up."""
    defaults = Call(
        created_at=START,
        path="/items/1",
        route="/items/{id}",
        upstream="shop",
        method="GET",
        status=200,
        micros=5_000,
        request_bytes=10,
        response_bytes=100,
        client="192.0.2.1",
        app=None,
        request_id="id-1",
    )
    return defaults._replace(**fields)
