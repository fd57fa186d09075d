"""Soak: minutes of mixed load, after which nothing of it may be left: no memory, connection, file or task.

``python bench/soak.py``; ``--minutes`` and ``--warm-up`` (seconds) shorten it. What clients do is in
``peers/soak_clients.py``, what upstreams do in ``peers/soak_upstreams.py``; both run in this process, on another core
than the hub.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from peers.soak_clients import ACTS, World, act_until_stopped, prime
from peers.soak_upstreams import PHASE_SECONDS, PHASES, upstreams
from report import Report, Target, publish
from servers import running_hub
from support import LOAD_CORE, Running, connections, folder, is_over, open_files, require, resident, version

LEAST_MINUTES = 10.0
"""A shorter run is a trial, of which nothing is kept."""
SAMPLE_SECONDS = 5.0
MOST_GROWTH_MEGABYTES, MOST_GROWTH_SHARE = 20.0, 0.1
"""Of resident memory between the end of the warm-up and the end of the load; the larger of the two counts."""
MOST_IDLE_SECONDS = 5.0
"""How long unused connections to upstreams may stay."""
MOST_END_SECONDS = 3.0
"""How long a hub without calls may take from SIGTERM to its end; calls that had got stuck would hold it for 30 s."""
PATIENCE = 20.0
"""Seconds to wait for what has to happen after the load."""

_MEGABYTE = 1_000_000
_AROUND = 3
"""Samples of which the median is taken."""
_PLOT_COLUMNS = 100
_TABLE_ROWS = 20
_SHOWN = 20
"""Failures that are shown; the first 50 are kept."""
_BARS = "▁▂▃▄▅▆▇█"

_HUB = """
[cache]
max_bytes = 8388608  # soon full, so that memory after the warm-up is what stays

[[gateway.upstreams]]
name = "shop"
prefix = "/shop"
strip_prefix = true
url = "http://127.0.0.1:{shop}"
routes = ["/shop/categories/{{id}}", "/shop/items/{{id}}", "/shop/users/{{id}}", "/shop/bytes/{{size}}"]
cache = {{enabled = true}}
limits = [{{by = "ip", rate = "100000/5s"}}, {{by = "ip+path", pattern = "/shop/items/*", rate = "100000/5s"}}]

[[gateway.upstreams]]
name = "failing"
prefix = "/failing"
strip_prefix = true
url = "http://127.0.0.1:{failing}"
read_timeout = 1
breaker = {{open_seconds = 1, max_open_seconds = 2}}

[[gateway.upstreams]]
name = "broken"
prefix = "/broken"
strip_prefix = true
url = "http://127.0.0.1:{broken}"
read_timeout = 1
breaker = {{enabled = false}}

[[gateway.upstreams]]
name = "chat"
prefix = "/chat"
strip_prefix = true
url = "http://127.0.0.1:{chat}"
"""


@dataclass(frozen=True)
class Sample:
    """The hub at a moment."""

    seconds: float
    """Since the load began."""
    phase: str
    """What the failing upstream does."""
    resident: float
    """MB."""
    files: int
    """Open file descriptors, connections included."""
    from_clients: int
    to_upstreams: int
    """Connections."""
    calls: int
    """Answers and other outcomes since the load began."""


@dataclass(frozen=True)
class Aftermath:
    """What was left when the load had ended; seconds are ``PATIENCE`` where it did not happen in time."""

    clients_gone: float
    """Seconds until no connection of a client was left."""
    upstreams_gone: float
    """Seconds until no connection to an upstream was left."""
    files_before: int
    files_after: int
    dropped: float
    """Recorded calls that the hub lost unwritten."""
    ended: float
    """Seconds from SIGTERM to the end of the process."""


class Watch:
    """Looks at the hub from outside, by ``/proc``."""

    def __init__(self, hub: Running, upstream_ports: Sequence[int]) -> None:
        self.hub = hub
        self.port = int(hub.url.rpartition(":")[2])
        self._upstream_ports = frozenset(upstream_ports)

    def connections(self) -> tuple[int, int]:
        """Return how many connections from clients, and how many to upstreams, the hub holds."""
        held = connections(self.hub.pid)
        return sum(near == self.port for near, _ in held), sum(far in self._upstream_ports for _, far in held)

    def sample(self, seconds: float, world: World) -> Sample:
        """Look now."""
        clients, to_upstreams = self.connections()
        size = resident(self.hub.pid) / _MEGABYTE
        files, calls = open_files(self.hub.pid), world.outcomes.total()
        return Sample(seconds, world.failing.phase, size, files, clients, to_upstreams, calls)


def main() -> int:
    """Run, print and keep; the exit status tells whether nothing was left."""
    options = _options()
    require("taskset", "signalbox")
    os.sched_setaffinity(0, {LOAD_CORE})
    with folder() as place, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(_soak(place, options))
    return publish(report, keep=options.minutes >= LEAST_MINUTES)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=LEAST_MINUTES)
    parser.add_argument("--warm-up", type=float, default=60.0, help="seconds of the load before memory is compared")
    options = parser.parse_args()
    if options.warm_up + 2 * _AROUND * SAMPLE_SECONDS > options.minutes * 60:
        parser.error(f"the load ends less than {2 * _AROUND * SAMPLE_SECONDS:g} s after the warm-up")
    return options


async def _soak(place: Path, options: argparse.Namespace) -> Report:
    async with upstreams() as there:
        with running_hub(place, _HUB.format(**there.ports)) as hub:
            watch = Watch(hub, list(there.ports.values()))
            world = World(watch.port, there.failing)
            await prime(world)
            await _until(lambda: watch.connections() == (0, 0))
            before = open_files(hub.pid)
            world.outcomes.clear()
            samples = await _load(watch, world, options.minutes * 60)
            aftermath = await _look_back(watch, before)
    errors = _errors(place / "log")
    for line in world.unexplained[:_SHOWN] + errors[:_SHOWN]:
        sys.stderr.write(f"{line}\n")
    return _report(samples, aftermath, world, errors, options)


async def _load(watch: Watch, world: World, seconds: float) -> list[Sample]:
    load = asyncio.create_task(act_until_stopped(world))
    started = time.perf_counter()
    samples: list[Sample] = []
    while time.perf_counter() - started < seconds:
        await asyncio.wait({load}, timeout=SAMPLE_SECONDS)
        samples.append(watch.sample(time.perf_counter() - started, world))
        Console().print(" | ".join(_row(samples[-1])), highlight=False)
        if load.done():
            break
    world.stop.set()
    await load
    return samples


async def _look_back(watch: Watch, files_before: int) -> Aftermath:
    clients_gone, upstreams_gone = await asyncio.gather(
        _until(lambda: watch.connections()[0] == 0), _until(lambda: watch.connections()[1] == 0)
    )
    await _until(lambda: open_files(watch.hub.pid) <= files_before)
    files_after = open_files(watch.hub.pid)
    dropped = await asyncio.to_thread(_metric, f"{watch.hub.url}/metrics", "signalbox_calls_dropped_total")
    os.kill(watch.hub.pid, signal.SIGTERM)
    gone = await _until(lambda: is_over(watch.hub.pid))
    return Aftermath(clients_gone, upstreams_gone, files_before, files_after, dropped, gone)


async def _until(true: Callable[[], bool]) -> float:
    """Wait; returns the seconds that it took, at most ``PATIENCE``."""
    started = time.perf_counter()
    while not true():
        if time.perf_counter() - started > PATIENCE:
            return PATIENCE
        await asyncio.sleep(0.1)
    return time.perf_counter() - started


def _metric(url: str, name: str) -> float:
    with urllib.request.urlopen(url, timeout=5) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def _errors(log: Path) -> list[str]:
    """Return the lines of the hub's log that tell of a fault of its own."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if "Traceback" in line or _level(line) in {"error", "critical", "not JSON"}]


def _level(line: str) -> str:
    try:
        return str(json.loads(line).get("level"))
    except ValueError:
        return "not JSON"


def _report(
    samples: Sequence[Sample], after: Aftermath, world: World, errors: list[str], options: argparse.Namespace
) -> Report:
    outcomes = {f"{kind}: {outcome}": count for (kind, outcome), count in sorted(world.outcomes.items())}
    return Report(
        name="soak",
        title=f"Soak: {options.minutes:g} minutes of mixed load",
        how=f"{sum(count for _, count in ACTS.values())} clients at the same time ("
        + ", ".join(f"{count} {kind}" for kind, (_, count) in ACTS.items())
        + f"); the failing upstream is {', '.join(PHASES)}, {PHASE_SECONDS:g} s each; the hub on one core, clients and "
        f"upstreams on another; memory is compared from after {options.warm_up:g} s on. {world.outcomes.total():,} "
        "outcomes.",
        columns=("seconds", "failing upstream", "RSS, MB", "open files", "from clients", "to upstreams", "calls"),
        rows=[_row(sample) for sample in _some(samples, _TABLE_ROWS)],
        targets=_targets(samples, after, options.warm_up, faults=(len(world.unexplained), len(errors))),
        settings={
            "Signalbox": f"{version('signalbox', '--version')}; SQLite, embedded, statistics, limits and cache on"
        },
        raw={
            "samples": [asdict(sample) for sample in samples],
            "aftermath": asdict(after),
            "outcomes": outcomes,
            "unexplained": world.unexplained[:50],
            "errors": errors[:50],
        },
        plot=_plot(samples),
    )


def _targets(samples: Sequence[Sample], after: Aftermath, warm_up: float, *, faults: tuple[int, int]) -> list[Target]:
    warm = statistics.median([each.resident for each in samples if each.seconds >= warm_up][:_AROUND])
    last = statistics.median([each.resident for each in samples][-_AROUND:])
    most = max(MOST_GROWTH_MEGABYTES, MOST_GROWTH_SHARE * warm)
    unexplained, errors = faults
    return [
        Target("growth of memory after the warm-up, MB", last - warm, most=most),
        Target("open files more than before the load", after.files_after - after.files_before, most=0),
        Target("seconds until no client's connection is left", after.clients_gone, most=1),
        Target("seconds until no connection to an upstream is left", after.upstreams_gone, most=MOST_IDLE_SECONDS),
        Target("seconds from SIGTERM to the end: no call is left", after.ended, most=MOST_END_SECONDS),
        Target("failures that no upstream explains", unexplained, most=0),
        Target("errors in the hub's log", errors, most=0),
        Target("recorded calls lost", after.dropped, most=0),
    ]


def _row(sample: Sample) -> tuple[str, ...]:
    figures = (sample.files, sample.from_clients, sample.to_upstreams, sample.calls)
    return (f"{sample.seconds:.0f}", sample.phase, f"{sample.resident:.1f}", *(f"{figure:,}" for figure in figures))


def _plot(samples: Sequence[Sample]) -> str:
    """Return a line of bars for each figure, from the lowest that was seen to the highest."""
    shown = _some(samples, _PLOT_COLUMNS)
    figures: dict[str, list[float]] = {
        "RSS, MB": [each.resident for each in shown],
        "open files": [each.files for each in shown],
        "from clients": [each.from_clients for each in shown],
        "to upstreams": [each.to_upstreams for each in shown],
    }
    return "\n".join(
        f"{name:<13} {_bars(values)} {min(values):.0f}-{max(values):.0f}" for name, values in figures.items()
    )


def _bars(values: Sequence[float]) -> str:
    low, span = min(values), max(values) - min(values) or 1
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)


def _some(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Return at most that many samples at even distances, the last one among them."""
    every = -(-len(samples) // most)
    return list(samples[::-1][::every][::-1])


if __name__ == "__main__":
    raise SystemExit(main())
