"""Criticality: how fast a change reaches a thousand apps that wait for it, and what ten thousand cost that come by.

``python bench/waiting.py``; ``--waves`` and ``--seconds`` shorten it.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import uvloop
from rich.console import Console

from criticality_clients import WAIT, Crowd, Wave, come_by, number
from criticality_hub import STATEMENTS
from criticality_servers import HUB, PATH, hub, running_hub, tokens_in
from report import Report, Target, publish
from support import LOAD_CORE, Running, cpu_seconds, folder, require

T = TypeVar("T")

WAITERS = 1_000
LEAST_WAVES = 20
"""Fewer are a trial, of which nothing is kept."""
MOST_DELAY = 100.0
"""Milliseconds."""
MOST_STATEMENTS = 0.1
"""For each waiter and change: all are claimed in a few statements, some of the rest are of other things."""
MOST_ADDED = 10.0
"""Statements/s that all who wait may add while nothing changes; a query for each would be a thousand."""
SETTLE = 0.5
"""Seconds for which all wait before a change."""

CONSUMERS, INTERVAL = 10_000, 300.0
"""Consumers, and the seconds after which each asks again."""
LEAST_SECONDS = 30.0
MOST_CORE = 0.02

_MILLISECONDS = 1_000.0


@dataclass(frozen=True)
class Waiting:
    """A crowd that waited for changes."""

    waves: list[Wave]
    quiet: float
    """Statements/s of the hub with nobody there."""
    waited: float
    """Statements/s with everybody waiting and no change."""


@dataclass(frozen=True)
class Cost:
    """Shares of a core that the hub used."""

    idle: float
    asked: float
    asks: int

    @property
    def of_asks(self) -> float:
        """What the asks cost."""
        return self.asked - self.idle


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    require("taskset", "signalbox")
    os.sched_setaffinity(0, {LOAD_CORE})
    waiting = _with_hub(WAITERS + 1, lambda running, tokens: _watch_waiters(running, tokens, options.waves))
    cost = _with_hub(CONSUMERS, lambda running, tokens: _watch_cost(running, tokens, options.seconds))
    keep = options.waves >= LEAST_WAVES and options.seconds >= LEAST_SECONDS
    return publish(_report(waiting, cost, options), keep=keep)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waves", type=int, default=LEAST_WAVES, help="changes that those who wait are told of")
    parser.add_argument("--seconds", type=float, default=LEAST_SECONDS, help="of asks, and as long without")
    return parser.parse_args()


def _with_hub(apps: int, watch: Callable[[Running, list[str]], Coroutine[Any, Any, T]]) -> T:
    """Run a hub with so many apps, and watch it."""
    with folder() as place, running_hub(place, apps) as running:
        Console().print(f"a hub with {apps:,} apps, all told")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(watch(running, tokens_in(place)))


async def _watch_waiters(running: Running, tokens: Sequence[str], waves: int) -> Waiting:
    url, statements = running.url + PATH, running.url + STATEMENTS
    crowd = Crowd(url, statements, tokens[1:])
    await crowd.connect()
    quiet = await _statements_per_second(statements)
    answers = crowd.wait()
    await asyncio.sleep(SETTLE + 2.0)  # their asks are counted within two seconds
    waited = await _statements_per_second(statements)
    await crowd.tell(tokens[0], answers, level=5)  # to warm up
    seen = [await crowd.wave(tokens[0], level=1 + wave % 4, settle=SETTLE) for wave in range(waves)]
    crowd.leave()
    return Waiting(seen, quiet, waited)


async def _statements_per_second(url: str, seconds: float = 5.0) -> float:
    before = await number(url)
    await asyncio.sleep(seconds)
    return (await number(url) - before) / seconds


async def _watch_cost(running: Running, tokens: Sequence[str], seconds: float) -> Cost:
    await asyncio.sleep(8.0)  # what was counted and noted before is written by then
    idle, _ = await _share(running.pid, asyncio.sleep(seconds))
    rate = CONSUMERS / INTERVAL
    asked, asks = await _share(running.pid, come_by(running.url + PATH, tokens, rate=rate, seconds=seconds))
    return Cost(idle, asked, asks)


async def _share(pid: int, work: Coroutine[Any, Any, T]) -> tuple[float, T]:
    """The share of a core that a process uses while work is done."""
    before, started = cpu_seconds(pid), time.perf_counter()
    result = await work
    return (cpu_seconds(pid) - before) / (time.perf_counter() - started), result


def _report(waiting: Waiting, cost: Cost, options: argparse.Namespace) -> Report:
    delays = sorted(delay * _MILLISECONDS for wave in waiting.waves for delay in wave.delays)
    p50, p99 = _percentile(delays, 50), _percentile(delays, 99)
    slowest = [wave.delays[-1] * _MILLISECONDS for wave in waiting.waves]
    statements = statistics.median(wave.statements for wave in waiting.waves)
    return Report(
        name="waiting",
        title="Criticality: changes that are waited for, and asks now and then",
        how=f"{WAITERS:,} apps wait with ?wait={WAIT}, each over a connection of its own; {options.waves} changes, "
        "timed from when a report was sent to when each app had its answer, the client's own work on the other core "
        f"included. Then {CONSUMERS:,} apps with a token each, of which one asks every {INTERVAL / CONSUMERS:.3f} s on "
        f"average, over a new connection: the processor time of the hub in {options.seconds:g} s, beside that of as "
        "long without asks.",
        columns=("figure", "value"),
        rows=[
            ("a change reaches an app, p50, ms", f"{p50:.1f}"),
            ("a change reaches an app, p99, ms", f"{p99:.1f}"),
            ("a change has reached all, median of the changes, ms", f"{statistics.median(slowest):.1f}"),
            ("a change has reached all, slowest change, ms", f"{max(slowest):.1f}"),
            ("statements for a change, median", f"{statements:.0f}"),
            ("statements/s with nobody there", f"{waiting.quiet:.1f}"),
            (f"statements/s while {WAITERS:,} wait", f"{waiting.waited:.1f}"),
            ("core used without asks", f"{cost.idle:.2%}"),
            (f"core used by {cost.asks} asks in {options.seconds:g} s", f"{cost.of_asks:.2%}"),
        ],
        targets=[
            Target("a change reaches an app, p99, ms", p99, most=MOST_DELAY),
            Target("statements for each waiter and change", statements / WAITERS, most=MOST_STATEMENTS),
            Target("statements/s that waiters add", waiting.waited - waiting.quiet, most=MOST_ADDED),
            Target("core used by asks", cost.of_asks, most=MOST_CORE),
        ],
        settings={HUB: hub(CONSUMERS).settings},
        raw={"waiters": asdict(waiting), "consumers": asdict(cost)},
    )


def _percentile(ascending: Sequence[float], percent: int) -> float:
    return ascending[min(len(ascending) - 1, len(ascending) * percent // 100)]


if __name__ == "__main__":
    raise SystemExit(main())
