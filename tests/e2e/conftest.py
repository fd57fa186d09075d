"""The outside world of real servers: a third-party API in a thread of its own, and one server that tests may share."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from signalbox.auth.scopes import Role
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import UpstreamApp
from tests.support.browser import ConsolePage, browsing
from tests.support.console_hub import PASSWORD, ConsoleHub, console_hub
from tests.support.processes import Server, serving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several processes begin and end in each of these tests, beside whatever else the machine does."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(180))


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


@pytest.fixture(scope="module")  # while Playwright runs, no other event loop can in this thread
def chromium() -> Iterator[Browser]:
    """A real browser, for the tests of one file, which must all be synchronous."""
    with browsing() as opened:
        yield opened


@pytest.fixture(scope="module")
def shown_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleHub]:
    """A hub with the world of the demo, for the tests of one file."""
    with console_hub(tmp_path_factory.mktemp("shown")) as made:
        yield made


@pytest.fixture
def console_page(chromium: Browser, shown_hub: ConsoleHub) -> Iterator[Callable[[Role], ConsolePage]]:
    """``console_page("manager")``: a tab that is signed in as somebody of this role."""
    contexts = []

    def open_as(role: Role) -> ConsolePage:
        contexts.append(chromium.new_context())
        page = ConsolePage.of(contexts[-1], shown_hub.root)
        page.sign_in(role, PASSWORD)
        return page

    yield open_as
    for context in contexts:
        context.close()
