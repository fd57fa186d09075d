import asyncio
import random
import time
from collections import Counter

from signalbox.infra.http.pool import PooledClient
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.traffic import MOST_IN_FLIGHT, drive, pick, to_request, zipf
from signalbox.sandbox.upstream import UpstreamApp


async def _drive(url: str, *, rate: float, seconds: float) -> list[tuple[int, float]]:
    calls: list[tuple[int, float]] = []
    stop, client = asyncio.Event(), PooledClient()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    try:
        await drive(url, client=client, rate=rate, stop=stop, on_call=lambda status, took: calls.append((status, took)))
    finally:
        await client.close()
    return calls


async def test_it_keeps_its_rate_and_gets_answers() -> None:
    app = UpstreamApp(latency=False)
    async with LoopbackServer(app) as server:
        calls = await _drive(server.url, rate=200, seconds=1.0)
        for _ in range(4):
            if len(calls) <= 120:  # as only a machine that halts in the middle makes them
                calls = await _drive(server.url, rate=200, seconds=1.0)
    assert 120 < len(calls) < 300
    assert {200, 201, 404} <= {status for status, _ in calls} <= {200, 201, 400, 404, 405}
    assert all(took > 0 for _, took in calls)


async def test_a_slow_hub_is_not_flooded() -> None:
    app = UpstreamApp(latency=False)
    async with LoopbackServer(app, grace=0.1) as server:
        calls = await _drive(server.url + "/delay/60000", rate=5_000, seconds=0.5)
    assert app.tally.requests <= MOST_IN_FLIGHT
    assert calls == []


async def test_no_hub_is_status_0() -> None:
    async with LoopbackServer(UpstreamApp()) as server:
        pass
    calls = await _drive(server.url, rate=200, seconds=0.3)
    assert {status for status, _ in calls} == {0}


async def test_it_ends_soon_after_stop() -> None:
    async with LoopbackServer(UpstreamApp(), grace=0.1) as server:
        started = time.perf_counter()
        await _drive(server.url + "/delay/60000", rate=0.01, seconds=0.2)
        assert time.perf_counter() - started < 10  # the answer would take a minute


async def test_the_mix_is_mostly_reads() -> None:
    dice = random.Random(1)
    errands = [pick(dice) for _ in range(5_000)]
    methods = Counter(errand.method for errand in errands)
    assert methods["GET"] > 0.9 * len(errands)
    assert methods["POST"] > 0.02 * len(errands)
    assert sum(errand.path.startswith("/categories/") for errand in errands) > 0.4 * len(errands)


async def test_low_ranks_are_frequent() -> None:
    dice = random.Random(1)
    ranks = Counter(zipf(dice, 1000) for _ in range(10_000))
    assert set(ranks) <= set(range(1, 1001))
    assert ranks[1] > 5 * ranks[10] > 0


async def test_an_address_with_a_prefix() -> None:
    request = to_request("http://127.0.0.1:8000/b/", pick(random.Random(1)))
    assert request.target.startswith(b"/b/")
    assert request.origin.port == 8000
