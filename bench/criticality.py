"""Criticality: asks/s that are answered ``{}`` beside etcd, Redis and the reference style, one core each.

``python bench/criticality.py``; ``--rounds``, ``--seconds`` and ``--only`` shorten it.
"""

import argparse
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from criticality_servers import ETCD, HUB, etcd, hub, redis, reference
from load import COLUMNS, CONNECTIONS, WARM_UP_SECONDS, Load, Run, disturbances, interleaved, median, ratio, row
from report import LEAST_ROUNDS, Report, Target, publish
from support import Candidate, require

APPS = 1_000
LEAST_RATE, LEAST_OF_ETCD = 20_000.0, 2.0

PROGRAMS = {"etcd": "etcd", "redis": "redis-server", "reference": "wrk", "hub": "signalbox"}

_COUNTED_WITHIN = 10.0
"""Seconds after which each ask must be counted in the database."""


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    require("wrk", "taskset", *(PROGRAMS[name] for name in options.only or PROGRAMS))
    candidates = _candidates(options.only)
    runs = interleaved(candidates, Load(options.seconds, options.rounds, script="asks.lua"), _check_counts)
    report = _report(candidates, runs, options)
    return publish(report, keep=not options.only and options.rounds >= LEAST_ROUNDS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(PROGRAMS))
    return parser.parse_args()


def _candidates(only: Sequence[str] | None) -> list[Candidate]:
    makers: dict[str, Callable[[], Candidate]] = {
        "hub": lambda: hub(APPS),
        "etcd": etcd,
        "redis": lambda: redis(APPS),
        "reference": lambda: reference(APPS),
    }
    return [make() for name, make in makers.items() if not only or name in only]


def _check_counts(candidate: Candidate, place: Path, answered: int) -> None:
    """Raise RuntimeError unless the hub has counted each ask that it answered."""
    until = time.monotonic() + _COUNTED_WITHIN
    while candidate.name == HUB and (counted := _counted(place / "data" / "signalbox.db")) < answered:
        if time.monotonic() > until:
            msg = f"{answered} asks were answered, but only {counted} counted"
            raise RuntimeError(msg)
        time.sleep(0.2)


def _counted(database: Path) -> int:
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return int(connection.execute("SELECT sum(requests) FROM criticality_consumer").fetchone()[0])


def _report(candidates: Sequence[Candidate], runs: Mapping[str, list[Run]], options: argparse.Namespace) -> Report:
    return Report(
        name="criticality",
        title="Criticality: asks/s with nothing new, through one core",
        how=f"wrk with 1 thread and {CONNECTIONS} keep-alive connections for {options.seconds} s after "
        f"{WARM_UP_SECONDS} s of warm-up, with the tokens of {APPS:,} apps in turn; medians of {options.rounds} "
        "interleaved rounds, every server freshly started; the server on one core, wrk and Redis on another. Every "
        "app was told of the level before; after each run every ask that the hub answered must be counted in its "
        f"database. The ratio is taken within each round; the median of these is shown. {disturbances(runs)}",
        columns=("server", *COLUMNS, "hub / this"),
        rows=[(name, *row(each), _of_hub(runs, name)) for name, each in runs.items()],
        targets=_targets(runs),
        settings={candidate.name: candidate.settings for candidate in candidates},
        raw={name: [asdict(run) for run in each] for name, each in runs.items()},
    )


def _of_hub(runs: Mapping[str, list[Run]], name: str) -> str:
    return f"{ratio(runs, HUB, name):.1f}" if HUB in runs else "-"


def _targets(runs: Mapping[str, list[Run]]) -> list[Target]:
    if HUB not in runs:
        return []
    targets = [Target("asks/s of one process", median(runs[HUB]).rate, least=LEAST_RATE)]
    if ETCD in runs:
        targets.append(Target("hub / etcd's gateway", ratio(runs, HUB, ETCD), least=LEAST_OF_ETCD))
    return targets


if __name__ == "__main__":
    raise SystemExit(main())
