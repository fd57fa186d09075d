"""Calls are freed as they end. What holds itself stays until the garbage collector comes, with all that it received."""

import functools
import gc
from collections import Counter
from collections.abc import Iterator

import pytest

from signalbox.app.cycle import Cycle
from signalbox.app.protocol import HttpProtocol
from signalbox.gateway.exchange import Exchange
from signalbox.infra.http import HttpClientError
from signalbox.infra.http.connection import Connection
from tests.gateway.conftest import World
from tests.support.hub import request
from tests.support.timing import until

CALLS = 5
"""Each of them is several objects; those of the last one may be in use still, such as a connection that is kept."""
LARGE = [(b"Content-Length", b"10000000")]


@pytest.fixture
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> Counter[str]:
    kinds = (Connection, HttpProtocol, Cycle, Exchange, HttpClientError)
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds))


def _came(world: World, calls: int) -> bool:
    return len(world.raw.calls) > calls


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize("path", [b"/fine", b"/close", b"/garbage", b"/cut", b"/cut-chunked", b"/bad-chunk"])
async def test_calls_leave_nothing_behind_their_connections(world: World, path: bytes) -> None:
    hub = await world.hub()
    before = left()
    for _ in range(CALLS):
        async with hub.client() as client:
            await client.send(request(path))
            await client.answer()
    await until(lambda: (left() - before).total() < CALLS)


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize(
    "data", [request(b"/never"), request(b"/never", method=b"POST", headers=LARGE) + bytes(100_000)]
)
async def test_clients_that_leave_take_all_with_them(world: World, data: bytes) -> None:
    hub = await world.hub()
    before = left()
    for _ in range(CALLS):
        calls = len(world.raw.calls)
        async with hub.client() as client:
            await client.send(data)
            await until(functools.partial(_came, world, calls))
            client.abort()
    await until(lambda: (left() - before).total() < CALLS)
