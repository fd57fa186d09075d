"""A provider of the sandbox, and ours that asks it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.http.pool import PooledClient
from signalbox.infra.http.recorded import OwnCall, RecordedClient
from signalbox.sandbox.provider import ProviderApp
from signalbox.sandbox.provider_book import Pace
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import UpstreamApp
from signalbox.tasks.providers.http_json import HttpJsonProvider, HttpJsonSettings


@dataclass
class World:
    """The simulated provider, and the means to make ours with any settings."""

    app: ProviderApp
    url: str
    outbound: RecordedClient
    clock: ManualClock
    told: list[OwnCall] = field(default_factory=list)

    def provider(self, **settings: Any) -> HttpJsonProvider:
        """One like the example, but for these settings."""
        given = HttpJsonProvider.example(self.url).model_dump() | settings
        return HttpJsonProvider(HttpJsonSettings(**given), outbound=self.outbound, clock=self.clock)


@pytest.fixture
async def world(clock: ManualClock) -> AsyncIterator[World]:
    app, http = ProviderApp(pace=Pace(waiting=3_600)), PooledClient()
    outbound = RecordedClient(http, clock)
    async with LoopbackServer(app, grace=0.05) as server:
        made = World(app, server.url, outbound, clock)
        outbound.listen(made.told.append)
        yield made
        await http.close()


@pytest.fixture
async def raw() -> AsyncIterator[RawUpstream]:
    async with RawUpstream() as upstream:
        yield upstream


@pytest.fixture
async def shop() -> AsyncIterator[str]:
    """Address of a server that answers as asked: ``/status/500``, ``/bytes/100``, ``/echo``."""
    async with LoopbackServer(UpstreamApp(latency=False), grace=0.05) as server:
        yield server.url
