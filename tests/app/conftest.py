"""A hub of the test's own behind the production server, and a client that is not ours."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
import uvloop

from signalbox.app.features import FeatureFactory
from signalbox.app.hub import open_hub
from signalbox.app.server import uvicorn_config
from signalbox.app.settings import Settings
from signalbox.sandbox.upstream import UpstreamApp
from tests.support.databases import Place, SqliteTemplate
from tests.support.hub import RunningHub, serving, settings_at


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production: how connections end differs between loops."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass(frozen=True)
class Site:
    """A hub that serves, and a client whose addresses begin at its root."""

    running: RunningHub
    client: httpx2.AsyncClient

    async def token(self, *scopes: str) -> dict[str, str]:
        """The header of an app that may do this."""
        return {"Token": (await self.running.token(*scopes)).text}


@asynccontextmanager
async def open_site(settings: Settings, *, extra: Sequence[FeatureFactory] = ()) -> AsyncIterator[Site]:
    async with (
        open_hub(settings, extra=extra) as hub,
        serving(uvicorn_config(hub)) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield Site(RunningHub(hub, port), client)


@pytest.fixture
def sqlite_place(sqlite_template: SqliteTemplate, tmp_path: Path) -> Place:
    """SQLite; tests about what is stored take ``place``, which is both."""
    return sqlite_template.copy_to(tmp_path)


@pytest.fixture
async def site(sqlite_place: Place) -> AsyncIterator[Site]:
    """A hub with default settings and no upstream."""
    async with open_site(settings_at(sqlite_place)) as opened:
        yield opened


@pytest.fixture
async def shop() -> AsyncIterator[str]:
    """The address of a third-party API."""
    app = UpstreamApp(latency=False)
    config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False)
    async with serving(config) as port:
        yield f"http://127.0.0.1:{port}"


def is_problem(answer: httpx2.Response, *, status: int, code: str) -> dict[str, Any]:
    """Check the form of problem details (RFC 9457); the body."""
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    return body
