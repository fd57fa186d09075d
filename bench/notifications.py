"""Notifications: taken in per second, time from intake to receiver, and 100 endpoints of which one hangs; one core each.

``python bench/notifications.py``; ``--rounds``, ``--seconds`` and ``--only`` shorten it.
"""

import argparse
import asyncio
import gc
import os
import sqlite3
import statistics
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from load import COLUMNS, CONNECTIONS, WARM_UP_SECONDS, Load, disturbances, interleaved, median, row
from notifiers import HUB, HUB_HELD, PATH, apprise_peer, celery_peer, held_hub, notifying_hub
from receiver import HANGING, Client, Receiver, receiving
from report import LEAST_ROUNDS, Report, Target, publish
from support import LOAD_CORE, Candidate, folder, require

LEAST_RATE = 5_000.0
RATE = 200
"""Messages/s whose way to the receiver is timed."""
MOST_P99 = 50.0
"""Milliseconds from intake to receiver."""
ENDPOINTS = 100
"""Every message goes to every one of them."""
LEAST_MESSAGES = 100
"""Fewer to each endpoint are a trial."""
MOST_SLOWER = 1.25
"""How many times as long the other endpoints may take beside one that hangs."""
PATIENCE = 120.0
PARTS = ("intake", "latency", "endpoints")
_MILLISECONDS = 1_000.0


@dataclass(frozen=True)
class Way:
    """The way of messages from intake to receiver in one run; milliseconds from when a request was due."""

    p50: float
    p99: float
    highest: float


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    require("wrk", "taskset", "signalbox")
    os.sched_setaffinity(0, {LOAD_CORE})
    gc.disable()  # what a collection takes would be measured
    reports = uvloop.run(_measure(options))
    keep = options.rounds >= LEAST_ROUNDS and options.messages >= LEAST_MESSAGES
    return max(publish(report, keep=keep) for report in reports)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=100, help="to each endpoint")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    return parser.parse_args()


async def _measure(options: argparse.Namespace) -> list[Report]:
    reports: list[Report] = []
    async with receiving() as receiver:
        target = f"{receiver.url}/in"
        peers = [celery_peer(receiver.url), apprise_peer(receiver.url)]
        both = [notifying_hub(HUB, [target]), *peers]
        if "intake" in options.only:
            reports.append(await _intake([held_hub(target), *both], options))
        if "latency" in options.only:
            reports.append(await _latency(both, receiver, options))
        if "endpoints" in options.only:
            reports.append(await _endpoints(receiver, options))
    return reports


# -- taken in ---------------------------------------------------------------------------------------------------------


async def _intake(candidates: Sequence[Candidate], options: argparse.Namespace) -> Report:
    load = Load(options.seconds, options.rounds, script="assistance.lua")
    runs = await asyncio.to_thread(interleaved, candidates, load, _check_rows)
    return Report(
        name="notifications_intake",
        title="Notifications: messages/s taken in through one core",
        how=f"wrk with 1 thread and {CONNECTIONS} keep-alive connections for {options.seconds} s after "
        f"{WARM_UP_SECONDS} s of warm-up, no two messages the same; medians of {options.rounds} interleaved rounds, every "
        "server freshly started; the server on one core, wrk and receiver on another; the hub's rows are counted after "
        "each run. The hub answers when a message, its delivery and its job are on disk (fsync), the Celery forwarder "
        "when RabbitMQ has confirmed, Apprise when the receiver has answered. " + disturbances(runs),
        columns=("server", *COLUMNS),
        rows=[(name, *row(each)) for name, each in runs.items()],
        targets=[Target("taken in durably, messages/s", median(runs[HUB_HELD]).rate, least=LEAST_RATE)],
        settings={candidate.name: candidate.settings for candidate in candidates},
        raw={name: [asdict(run) for run in each] for name, each in runs.items()},
    )


def _check_rows(candidate: Candidate, place: Path, accepted: int) -> None:
    """Raise RuntimeError unless the hub has as many messages as it answered 202."""
    if candidate.name not in {HUB, HUB_HELD}:
        return
    with closing(sqlite3.connect(place / "data/signalbox.db", timeout=30)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM notification_message").fetchone()
    if rows < accepted:
        msg = f"{candidate.name}: {accepted} messages were accepted, but only {rows} are there"
        raise RuntimeError(msg)


# -- intake to receiver -----------------------------------------------------------------------------------------------


async def _latency(candidates: Sequence[Candidate], receiver: Receiver, options: argparse.Namespace) -> Report:
    ways: dict[str, list[Way]] = {candidate.name: [] for candidate in candidates}
    for number in range(options.rounds):
        for candidate in candidates:
            way = await _time_way(candidate, receiver, options.seconds)
            ways[candidate.name].append(way)
            Console().print(f"round {number + 1}: {candidate.name}: p50 {way.p50:.2f} ms, p99 {way.p99:.2f} ms")
    return Report(
        name="notifications_latency",
        title=f"Notifications: from intake to receiver at {RATE} messages/s",
        how=f"{RATE} requests/s fall due at a constant rate for {options.seconds} s, each timed from when it was due until "
        f"the receiver has the message; {WARM_UP_SECONDS} s of warm-up; medians of {options.rounds} interleaved rounds; "
        "the server on one core, clients and receiver, in one process with one clock, on another.",
        columns=("server", "p50, ms", "p99, ms", "highest, ms"),
        rows=[(name, *_way_row(each)) for name, each in ways.items()],
        targets=[Target("intake to receiver, p99, ms", _middle(ways[HUB], "p99"), most=MOST_P99)],
        settings={candidate.name: candidate.settings for candidate in candidates},
        raw={name: [asdict(way) for way in each] for name, each in ways.items()},
    )


async def _time_way(candidate: Candidate, receiver: Receiver, seconds: int) -> Way:
    with (
        folder() as place,
        candidate.start(place) as running,
        closing(Client(running.url + PATH, running.token)) as client,
    ):
        await _send(client, receiver, WARM_UP_SECONDS)
        due = await _send(client, receiver, seconds)
    took = sorted((receiver.arrivals[mark] - at) * _MILLISECONDS for mark, at in due.items())
    receiver.arrivals.clear()
    return Way(statistics.median(took), took[int(0.99 * len(took))], took[-1])


async def _send(client: Client, receiver: Receiver, seconds: int) -> dict[str, float]:
    due = await client.ask_at_rate(uuid.uuid4().hex[:8], rate=RATE, count=RATE * seconds)
    await receiver.until(lambda: due.keys() <= receiver.arrivals.keys(), within=PATIENCE)
    return due


def _way_row(ways: Sequence[Way]) -> tuple[str, ...]:
    return tuple(f"{_middle(ways, name):.2f}" for name in ("p50", "p99", "highest"))


def _middle(ways: Sequence[Way], name: str) -> float:
    return statistics.median(float(getattr(way, name)) for way in ways)


# -- many endpoints ---------------------------------------------------------------------------------------------------


async def _endpoints(receiver: Receiver, options: argparse.Namespace) -> Report:
    seconds: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, last in (("all answer", b"/in"), ("one hangs", HANGING)):
            took = await _deliver_all(receiver, last.decode(), options.messages)
            seconds.setdefault(name, []).append(took)
            Console().print(f"{name}: {took:.1f} s")
    others = (ENDPOINTS - 1) * options.messages
    pairs = zip(seconds["one hangs"], seconds["all answer"], strict=True)
    return Report(
        name="notifications_endpoints",
        title=f"Notifications: {ENDPOINTS * options.messages:,} deliveries to {ENDPOINTS} endpoints, one of them hanging",
        how=f"{options.messages} messages, each to {ENDPOINTS} webhook channels, asked for one after another; seconds until the "
        f"{others:,} of all endpoints but the last have arrived; medians of {options.rounds} interleaved rounds.",
        columns=("the last endpoint", "seconds", "deliveries/s"),
        rows=[_endpoint_row(name, each, others) for name, each in seconds.items()],
        targets=[Target("one hangs / all answer", statistics.median(a / b for a, b in pairs), most=MOST_SLOWER)],
        settings={HUB: notifying_hub(HUB, [receiver.url]).settings},
        raw=seconds,
    )


async def _deliver_all(receiver: Receiver, last: str, messages: int) -> float:
    """Seconds until the others have everything."""
    targets = [f"{receiver.url}/in/{number}" for number in range(ENDPOINTS - 1)] + [f"{receiver.url}{last}"]
    candidate = notifying_hub(HUB, targets)
    with (
        folder() as place,
        candidate.start(place) as running,
        closing(Client(running.url + PATH, running.token)) as client,
    ):
        receiver.numbered, wanted = 0, (ENDPOINTS - 1) * messages
        start = time.perf_counter()
        for number in range(messages):
            await client.ask(f"endpoints-{number}")
        await receiver.until(lambda: receiver.numbered >= wanted, within=PATIENCE)
        return time.perf_counter() - start


def _endpoint_row(name: str, seconds: Sequence[float], others: int) -> tuple[str, ...]:
    middle = statistics.median(seconds)
    return name, f"{middle:.2f}", f"{others / middle:,.0f}"


if __name__ == "__main__":
    raise SystemExit(main())
