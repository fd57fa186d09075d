"""Criticality: asks answered ``{}`` beside peers, how fast a change reaches those who wait, what many asks cost.

``python bench/criticality.py``; ``--rounds``, ``--seconds``, ``--waves``, ``--watch`` and ``--only`` shorten it.
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from criticality_clients import Crowd, Wave, come_by, number
from criticality_hub import STATEMENTS
from criticality_servers import ETCD, HUB, PATH, REDIS, REFERENCE, etcd, hub, redis, reference, running_hub, tokens_in
from load import COLUMNS, CONNECTIONS, WARM_UP_SECONDS, Load, Run, disturbances, interleaved, median, ratio, row
from report import LEAST_ROUNDS, Report, Target, publish
from support import LOAD_CORE, Candidate, cpu_seconds, folder, require

APPS = 1_000
"""That ask as fast as they can."""
LEAST_RATE, LEAST_OF_ETCD = 20_000.0, 2.0

WAITERS = 1_000
MOST_DELAY = 100.0
"""Milliseconds."""
MOST_STATEMENTS = 0.1
"""For each waiter and change: a claim is a row of a statement for hundreds."""
SETTLE = 1.0
"""Seconds for which all wait before a change."""

CONSUMERS, INTERVAL = 10_000, 300.0
"""Consumers, and the seconds after which each asks again."""
MOST_CORE = 0.02

_MILLISECONDS = 1_000.0
_COUNTED_WITHIN = 10.0
"""Seconds after which each ask must be counted in the database."""


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    wanted = set(options.only or ("polls", "waiters", "consumers"))
    peers = ("etcd", "redis-server") if "polls" in wanted and not options.without_peers else ()
    require("signalbox", "taskset", *(("wrk", *peers) if "polls" in wanted else ()))
    keep = not options.only and not options.without_peers and options.rounds >= LEAST_ROUNDS
    statuses = []
    if "polls" in wanted:
        statuses.append(publish(_measure_polls(options), keep=keep))
    if wanted - {"polls"}:
        statuses.append(publish(_measure_rest(options, wanted), keep=keep))
    return max(statuses)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--waves", type=int, default=20, help="changes that those who wait are told of")
    parser.add_argument("--watch", type=float, default=30.0, help="seconds for which the cost of asks is looked at")
    parser.add_argument("--only", nargs="+", choices=["polls", "waiters", "consumers"])
    parser.add_argument("--without-peers", action="store_true")
    return parser.parse_args()


# -- asks as fast as they come ----------------------------------------------------------------------------------------


def _measure_polls(options: argparse.Namespace) -> Report:
    peers = [] if options.without_peers else [etcd(), redis(APPS), reference(APPS)]
    candidates = [hub(APPS), *peers]
    runs = interleaved(candidates, Load(options.seconds, options.rounds, script="asks.lua"), _check_counts)
    return _polls_report(candidates, runs, options)


def _check_counts(candidate: Candidate, place: Path, answered: int) -> None:
    """Raise RuntimeError unless the hub has counted each ask that it answered."""
    if candidate.name != HUB:
        return
    until, counted = time.monotonic() + _COUNTED_WITHIN, 0
    while counted < answered:
        if time.monotonic() > until:
            msg = f"{answered} asks were answered, but only {counted} counted"
            raise RuntimeError(msg)
        time.sleep(0.2)
        with closing(sqlite3.connect(place / "data" / "signalbox.db", timeout=30)) as connection:
            (counted,) = connection.execute("SELECT sum(requests) FROM criticality_consumer").fetchone()


def _polls_report(
    candidates: Sequence[Candidate], runs: Mapping[str, list[Run]], options: argparse.Namespace
) -> Report:
    targets = [Target("asks/s on one process", median(runs[HUB]).rate, least=LEAST_RATE)]
    targets += [
        Target(f"hub / {peer}", ratio(runs, HUB, peer), least=least)
        for peer, least in ((ETCD, LEAST_OF_ETCD), (REDIS, None), (REFERENCE, None))
        if peer in runs and least is not None
    ]
    return Report(
        name="criticality",
        title="Criticality: asks/s with nothing new, through one core",
        how=f"wrk with 1 thread and {CONNECTIONS} keep-alive connections for {options.seconds} s after "
        f"{WARM_UP_SECONDS} s of warm-up, with the tokens of {APPS:,} apps in turn; medians of {options.rounds} "
        "interleaved rounds, every server freshly started; the server on one core, wrk (and Redis) on another. "
        "Every app was told of the level before; after each run every ask answered by the hub must be counted in its "
        f"database. Ratios are taken within each round. {disturbances(runs)}",
        columns=("server", *COLUMNS, "hub / this"),
        rows=[(name, *row(each), f"{ratio(runs, HUB, name):.1f}") for name, each in runs.items()],
        targets=targets,
        settings={candidate.name: candidate.settings for candidate in candidates},
        raw={name: [asdict(run) for run in each] for name, each in runs.items()},
    )


# -- those who wait, and those who come by ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Waiting:
    """A crowd that waited for changes."""

    waves: list[Wave]
    quiet: float
    """Statements/s of the hub with nobody there."""
    waiting: float
    """Statements/s with everybody waiting and no change."""


@dataclass(frozen=True)
class Cost:
    """Shares of a core that the hub used."""

    idle: float
    asked: float
    asks: int


def _measure_rest(options: argparse.Namespace, wanted: set[str]) -> Report:
    os.sched_setaffinity(0, {LOAD_CORE})
    figures: list[tuple[str, str]] = []
    targets: list[Target] = []
    raw: dict[str, object] = {}
    if "waiters" in wanted:
        waiting = _run(WAITERS + 1, lambda url, _pid, tokens: _watch_waiters(url, tokens, options.waves))
        figures += _waiting_figures(waiting)
        targets += _waiting_targets(waiting)
        raw["waiters"] = asdict(waiting)
    if "consumers" in wanted:
        cost = _run(CONSUMERS, lambda url, pid, tokens: _watch_cost(url, pid, tokens, options.watch))
        figures += _cost_figures(cost)
        targets.append(Target("core used by the asks", cost.asked - cost.idle, most=MOST_CORE))
        raw["consumers"] = asdict(cost)
    return Report(
        name="criticality-waiting",
        title="Criticality: changes that are waited for, and asks now and then",
        how=f"{WAITERS:,} apps wait with ?wait={WAIT_TEXT} over a connection each; {options.waves} changes, each timed "
        "from when its report was sent to when each app had its answer, client and parsing on the other core included. "
        f"Then {CONSUMERS:,} apps with a token each, of which each asks every {INTERVAL:.0f} s over a new connection: "
        f"the processor time of the hub in {options.watch:.0f} s, less that of as long without asks.",
        columns=("figure", "value"),
        rows=figures,
        targets=targets,
        settings={HUB: hub(CONSUMERS).settings},
        raw=raw,
    )
