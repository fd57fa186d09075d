"""A hub as a real process between raw sockets: whatever a test sends, and an upstream that shows and breaks all."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.wire import Call
from tests.e2e.conftest import Shop
from tests.support.hub import Answer, Client
from tests.support.processes import Server, serving
from tests.support.timing import PATIENCE

OWN, GATEWAY = b"/healthz", b"/fine/x"
"""A path of the hub's own, and one that the gateway sends on."""


class Hub:
    """A running hub, and the upstream behind it: ``shop.test`` is the shop, all else goes to the raw one."""

    def __init__(self, server: Server, raw: RawUpstream, shop: Shop) -> None:
        self.server, self.raw, self.shop = server, raw, shop
        self.port: int = urlsplit(server.url).port or 0

    async def connect(self) -> Client:
        return await Client.connect(self.port)

    async def exchange(self, data: bytes, *, method: bytes = b"GET") -> Answer:
        """Send bytes on a new connection and take the answer."""
        client = await self.connect()
        try:
            await client.send(data)
            return await client.answer(method=method)
        finally:
            await client.close()

    async def only_answer(self, data: bytes) -> Answer:
        """Send bytes on a new connection and take the answer; it must be the last and the connection end behind it."""
        client = await self.connect()
        try:
            await client.send(data)
            answer = await client.answer()
            assert await client.rest() == b""
            return answer
        finally:
            await client.close()

    def seen(self) -> list[Call]:
        """The requests that the raw upstream has seen so far."""
        return list(self.raw.calls)


def code(answer: Answer) -> str:
    """The stable name of what an answer refuses for."""
    assert answer.value(b"content-type") == b"application/problem+json"
    assert answer.value(b"date") is not None
    body = json.loads(answer.body)
    assert body["status"] == answer.status
    return str(body["code"])


@pytest.fixture(scope="session")
def raw() -> Iterator[RawUpstream]:
    """The raw upstream, in a thread of its own."""
    made: list[RawUpstream] = []
    ready, stop = threading.Event(), threading.Event()

    async def main() -> None:
        async with RawUpstream() as upstream:
            made.append(upstream)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(PATIENCE)
    yield made[0]
    stop.set()
    thread.join()


@contextmanager
def _hub(raw: RawUpstream, shop: Shop, factory: pytest.TempPathFactory, name: str, **variables: str) -> Iterator[Hub]:
    raw_settings = {"name": "raw", "routes": ["/fine/{what}"], "max_body": 1_000_000, "breaker": {"enabled": False}}
    upstreams = [
        {**raw_settings, "url": raw.url},
        {"name": "shop", "url": shop.url, "host": "shop.test"},
    ]
    gateway = {"SIGNALBOX_GATEWAY__UPSTREAMS": json.dumps(upstreams), "SIGNALBOX_GATEWAY__DEFAULT": "raw"}
    with serving(folder=factory.mktemp(name), **gateway, **variables) as server:
        yield Hub(server, raw, shop)


@pytest.fixture(scope="session")
def hub(raw: RawUpstream, shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with _hub(raw, shop, tmp_path_factory, "hub") as made:
        yield made


@pytest.fixture(scope="session")
def impatient(raw: RawUpstream, shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that waits a second for whatever a client does."""
    patience = {"SIGNALBOX_IDLE_TIMEOUT": "1", "SIGNALBOX_BODY_TIMEOUT": "1"}
    with _hub(raw, shop, tmp_path_factory, "impatient", **patience) as made:
        yield made
