"""Live traffic of a company's apps against the hub: open loop, so a slow hub is not spared the next call."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from signalbox.infra.http import HttpClient, HttpClientError, Request, Timeouts, parse_origin

OnCall = Callable[[int, float], None]
"""Called with the status (0: no whole answer) and the seconds that the call took."""

MOST_IN_FLIGHT = 256
LONGEST_CALL = 30.0
"""Seconds after which an app gives a call up."""

SEED = 0
_LATEST = 1.0


@dataclass(frozen=True)
class Errand:
    """What an app wants of the hub: one request, its path without the hub's address."""

    method: str
    path: str
    body: bytes = b""


async def drive(
    base_url: str,
    *,
    client: HttpClient,
    rate: float,
    stop: asyncio.Event,
    on_call: OnCall | None = None,
) -> None:
    """Send Poisson arrivals of ``rate`` requests/s to ``base_url`` until ``stop`` is set.

    The mix is the same in every run. While ``MOST_IN_FLIGHT`` calls are open, arrivals are left out instead of queued.
    """
    dice = random.Random(SEED)
    calls: set[asyncio.Task[None]] = set()
    async for _ in _arrivals(dice, rate, stop):
        request = to_request(base_url, pick(dice))
        if len(calls) < MOST_IN_FLIGHT:
            call = asyncio.create_task(_call(client, request, on_call))
            calls.add(call)
            call.add_done_callback(calls.discard)
    await _cancel(calls)


async def _cancel(calls: set[asyncio.Task[None]]) -> None:
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def _arrivals(dice: random.Random, rate: float, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield at each arrival of a Poisson process; a delay of over a second is not made up for."""
    due = time.perf_counter()
    while not stop.is_set():
        due = max(due + dice.expovariate(rate), time.perf_counter() - _LATEST)
        await _sleep(due - time.perf_counter(), stop)
        if not stop.is_set():
            yield


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _call(client: HttpClient, request: Request, on_call: OnCall | None) -> None:
    started = time.perf_counter()
    try:
        status = await _status(client, request)
    except HttpClientError:
        status = 0
    if on_call is not None:
        on_call(status, time.perf_counter() - started)


async def _status(client: HttpClient, request: Request) -> int:
    response = await client.send(request)
    try:
        while response.whole() is None and await response.read():
            pass
    finally:
        response.close()
    return response.status


def pick(dice: random.Random) -> Errand:
    """Choose from the mix: mostly categories and items, a few searches, orders and pages that are not there."""
    (make,) = dice.choices([make for make, _ in _MIX], [share for _, share in _MIX])
    return make(dice)


def to_request(base_url: str, errand: Errand) -> Request:
    """Address an errand to the hub at ``base_url``."""
    origin, prefix = parse_origin(base_url)
    return Request(
        origin=origin,
        method=errand.method.encode(),
        target=prefix + errand.path.encode(),
        headers=[(b"content-type", b"application/json")] if errand.body else (),
        body=errand.body,
        timeouts=Timeouts(total=LONGEST_CALL),
    )


def zipf(dice: random.Random, most: int) -> int:
    """Draw a rank from 1 to ``most`` whose frequency falls about as 1/rank (log-uniform)."""
    return int(most ** dice.random())


def _category(dice: random.Random) -> Errand:
    return Errand("GET", f"/categories/MLA{zipf(dice, 100_000)}")


def _item(dice: random.Random) -> Errand:
    return Errand("GET", f"/items/MLA{zipf(dice, 1_000_000)}")


def _items(dice: random.Random) -> Errand:
    return Errand("GET", "/items?ids=" + ",".join(f"MLA{zipf(dice, 1_000_000)}" for _ in range(5)))


def _user(dice: random.Random) -> Errand:
    return Errand("GET", f"/users/{zipf(dice, 50_000)}")


def _search(dice: random.Random) -> Errand:
    return Errand("GET", f"/search?q={dice.choice(('lamp', 'drill', 'kettle', 'tripod'))}+{zipf(dice, 100)}")


def _order(dice: random.Random) -> Errand:
    order = {"item": f"MLA{zipf(dice, 1_000_000)}", "quantity": dice.randint(1, 3), "buyer": zipf(dice, 50_000)}
    return Errand("POST", "/orders", json.dumps(order).encode())


def _missing(dice: random.Random) -> Errand:
    return Errand("GET", dice.choice(("/favicon.ico", "/categories/none", "/items/0", "/old/page")))


_MIX: tuple[tuple[Callable[[random.Random], Errand], int], ...] = (
    (_category, 45),
    (_item, 22),
    (_items, 5),
    (_user, 10),
    (_search, 9),
    (_order, 5),
    (_missing, 4),
)
