"""The outside world of real servers: a third-party API in a thread of its own, and one server that tests may share."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import UpstreamApp
from tests.support.processes import Server, serving


@dataclass
class Shop:
    """A third-party API."""

    app: UpstreamApp = field(default_factory=lambda: UpstreamApp(latency=False))
    url: str = ""

    def run(self, ready: threading.Event, stop: threading.Event) -> None:
        async def main() -> None:
            async with LoopbackServer(self.app) as server:
                self.url = server.url
                ready.set()
                await asyncio.to_thread(stop.wait)

        asyncio.run(main())

    @property
    def variables(self) -> dict[str, str]:
        """What makes it the upstream of a hub."""
        upstreams = f'[{{"name": "shop", "url": "{self.url}", "routes": ["/status/{{code}}", "/delay/{{ms}}"]}}]'
        return {"SIGNALBOX_GATEWAY__UPSTREAMS": upstreams, "SIGNALBOX_GATEWAY__DEFAULT": "shop"}


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    """A third-party API on loopback."""
    made, ready, stop = Shop(), threading.Event(), threading.Event()
    thread = threading.Thread(target=made.run, args=(ready, stop))
    thread.start()
    assert ready.wait(10)
    yield made
    stop.set()
    thread.join()


@pytest.fixture(scope="session")
def server(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on SQLite, for tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder=folder, **shop.variables) as started:
        yield started
