"""The demo's power grid."""

import asyncio
import itertools
import json
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from signalbox.core.times import DAY
from signalbox.grid.kinds import check
from signalbox.grid.merging import join, repeats, sort
from signalbox.grid.schemas import ThresholdRuleIn
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.http.pool import PooledClient
from signalbox.sandbox.grid import BOUND, COMPONENTS, RULE, SURGES, Meter, meters, past, run_meters
from signalbox.sandbox.server import LoopbackServer
from tests.support.timing import PATIENCE

IDS = list(range(1, len(COMPONENTS) + 1))


def carries_power(meter: Meter) -> bool:
    return meter.kind == "POWER" and COMPONENTS[meter.component - 1]["component_type"] == "LINE"


def test_its_components_and_its_rule_are_some() -> None:
    assert len({(each.substation, each.name) for each in map(check, COMPONENTS)}) == len(COMPONENTS) == 12
    assert {each["substation"] for each in COMPONENTS} == {"Harbour", "Hill"}
    assert ThresholdRuleIn.model_validate(RULE).component_type == "LINE"


def test_a_week_is_whole_sorted_and_the_same_each_time() -> None:
    found = meters(IDS)
    pieces = list(past(found, until=10 * DAY + 1, days=2))
    readings = join(pieces)
    assert len(readings.at) == len(found) * 2 * 1440
    assert (sort(readings)[1], bool(repeats(readings).any())) == (None, False)
    assert (int(readings.at.min()), int(readings.at.max())) == (8 * DAY, 10 * DAY - 60_000_000)
    again = join(list(past(found, until=10 * DAY, days=2)))
    assert np.array_equal(readings.value, again.value)


def test_no_line_is_overloaded_but_by_a_surge() -> None:
    found = [meter for meter in meters(IDS) if carries_power(meter)]
    highest = max(float(piece.value.max()) for piece in past(found, until=10 * DAY, days=7))
    assert highest < RULE["clear"] < BOUND
    assert [COMPONENTS[meter.component - 1]["name"] for meter in found if meter.surges] == [SURGES]


class Hub:
    """Keeps what is handed in."""

    def __init__(self, clock: ManualClock) -> None:
        self.got: list[list[dict[str, Any]]] = []
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        assert (request.url.path, request.headers["token"]) == ("/api/measurements/batch", "t")
        self.got.append(json.loads(await request.body()))
        self._clock.advance(5)
        await JSONResponse({}, 503)(scope, receive, send)  # whatever it is answered, it goes on


async def test_meters_go_on_measuring_and_surge_now_and_then() -> None:
    clock, client, found = ManualClock(), PooledClient(), meters(IDS)
    hub = Hub(clock)
    async with LoopbackServer(hub) as server:
        running = run_meters(server.url, client=client, token="t", found=found, clock=clock, pause=0)
        task = asyncio.create_task(running)
        async with asyncio.timeout(PATIENCE):
            while len(hub.got) < 200:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await client.close()
    assert all(len(rows) == len(found) for rows in hub.got)
    number = next(meter.component for meter in found if meter.surges)
    rows = [row for each in hub.got for row in each if row["component_id"] == number]
    powers = [row["value"] for row in rows if row["measurement_type"] == "POWER"]
    assert [value > BOUND for value in powers[:6]] == [False] * 4 + [True] * 2
    crossings = sum(one <= BOUND < other for one, other in itertools.pairwise(powers))
    assert 3 <= crossings <= 15
