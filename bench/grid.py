"""Nine million readings, and ten times as many: loaded from Parquet and reported on, by the hub and by other stores.

``python bench/grid.py``; ``--small`` for a try, ``--only`` for some of the stores, ``--large`` for ninety million. What
the API takes meanwhile is measured by ``grid_api.py``.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from databases import postgresql_database, server_version
from grid_data import write
from report import LEAST_ROUNDS, Report, Target, publish
from support import BENCH, TESTED_CORE, folder, on_core, require

COMPONENTS = 100
MINUTES = 30_000
SLOW_SHARE = 200
"""Stores that take readings one by one get one of so many."""
SMALL = 20
LARGE = 10
"""``--large`` has so many times as long a period."""
SQLITE, POSTGRESQL = "Signalbox, SQLite", "Signalbox, PostgreSQL"


@dataclass(frozen=True)
class Store:
    """What is measured, each run in a process of its own on one core; PostgreSQL's processes run where they like."""

    name: str
    script: str
    settings: str
    slow: bool = False
    postgresql: bool = False


STORES = (
    Store("ORM, Polars over ADBC, SQLite", "orm", "SQLAlchemy objects, 10,000 to a commit; default journal", slow=True),
    Store("ORM, Polars over ADBC, PostgreSQL", "orm", "the same", slow=True, postgresql=True),
    Store("keyed rows, hourly rollups, SQLite", "rollups", "executemany, WAL, synchronous=FULL", slow=True),
    Store("keyed rows, hourly rollups, PostgreSQL", "rollups", "COPY of rows", slow=True, postgresql=True),
    Store("DuckDB", "duckdb", "2.0, one thread, a table without a key on disk"),
    Store("Parquet by day, Polars", "parquet", "2.1, one thread, lz4"),
    Store(SQLITE, "", "WAL, synchronous=FULL; report.build alone, in one snapshot"),
    Store(POSTGRESQL, "", "as it is installed; the same", postgresql=True),
)

Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    require("taskset")
    chosen = [store for store in STORES if not options.only or store.name in options.only]
    if options.large:
        chosen = [store for store in chosen if not store.script]
    minutes = MINUTES // SMALL if options.small else MINUTES
    with folder() as place:
        runs = _measure(chosen, minutes, place, 1 if options.small else options.rounds)
        large = _measure(chosen, minutes * LARGE, place, 1) if options.large else {}
    whole = (options.large or options.rounds >= LEAST_ROUNDS) and not options.small and not options.only
    return publish(_report(runs, large, options), keep=whole)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--small", action="store_true", help=f"one of {SMALL} readings, one round; nothing is kept")
    parser.add_argument("--large", action="store_true", help="the hub alone, and ninety million readings besides")
    parser.add_argument("--only", nargs="+", choices=[store.name for store in STORES])
    return parser.parse_args()


def _measure(stores: Sequence[Store], minutes: int, place: Path, rounds: int) -> dict[str, list[dict[str, Any]]]:
    file = place / f"{minutes}.parquet"
    readings = write(file, components=COMPONENTS, minutes=minutes)
    runs: dict[str, list[dict[str, Any]]] = {store.name: [] for store in stores}
    for number in range(rounds):
        for store in stores:
            most = readings // SLOW_SHARE if store.slow else readings
            run = _run(store, file, minutes, most)
            if run["readings"] != most:
                msg = f"{store.name} has {run['readings']} of {most} readings"
                raise RuntimeError(msg)
            runs[store.name].append(run)
            Console().print(f"round {number + 1}: {store.name}: {_seconds(run):.2f} s for {most:,}")
    file.unlink()
    return runs


def _run(store: Store, file: Path, minutes: int, most: int) -> dict[str, Any]:
    with folder() as place, _database(store) as url:
        command = [sys.executable, str(BENCH / ("grid_peers.py" if store.script else "grid_hub.py"))]
        command += [store.script, str(file), str(most)] if store.script else [str(file), str(COMPONENTS), str(minutes)]
        command += [str(place), *([url] if url else [])]
        ran = subprocess.run(on_core(TESTED_CORE, command), stdout=subprocess.PIPE, check=True, text=True)
        run: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
        run["size_mb"] = sum(each.stat().st_size for each in place.iterdir()) / 1e6
        return run


@contextmanager
def _database(store: Store) -> Iterator[str]:
    with postgresql_database() if store.postgresql else nullcontext("") as url:
        yield url


def _report(runs: Runs, large: Runs, options: argparse.Namespace) -> Report:
    rows = [_row(name, each) for name, each in runs.items()]
    rows += [_row(f"{name}, ninety million", each) for name, each in large.items()]
    return Report(
        name="grid_large" if options.large else "grid",
        title="Readings: loaded from Parquet, and reported by day",
        how=f"One reading a minute for {MINUTES / 1440:.1f} days of three types from {COMPONENTS} components, 9,000,000 in one "
        f"file by component, type and time; medians of {options.rounds} rounds (ninety million: one), a process on one core "
        f"for each run, PostgreSQL where the system puts it. Stores that take rows one by one get one of {SLOW_SHARE} "
        "readings: compare what a million takes. A report is the mean, count, minimum, maximum and deviation by day, type of "
        "measurement and of component: in milliseconds of computing, the median of several. Memory is the process's largest "
        "while it loads (peers: also while they report), sizes those of files on SQLite and of files.",
        columns=(
            "store", "s for a million", "loaded, s", "memory, MB", "MB", "report, ms", "Berlin", "Kolkata", "7.5 h", "unaligned",
        ),
        rows=rows,
        targets=[*_targets(runs), *_ratios(runs, large)],
        settings={**{store.name: store.settings for store in STORES if store.name in runs}, "PostgreSQL": server_version()},
        raw={"nine million": runs, "ninety million": large},
    )  # fmt: skip


def _row(name: str, runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    reports = ("full", "full, Europe/Berlin", "full, Asia/Kolkata", "7.5 h, unaligned", "full, unaligned")
    shown = [f"{_ms(runs, each):,.1f}" if each in runs[0]["reports"] else "" for each in reports]
    seconds = statistics.median(_seconds(run) for run in runs)
    memory = statistics.median(run["memory_mb"] for run in runs)
    size = statistics.median(run["size_mb"] for run in runs)
    per_million = seconds / runs[0]["readings"] * 1e6
    return (name, f"{per_million:,.2f}", f"{seconds:,.2f}", f"{memory:,.0f}", f"{size:,.0f}", *shown)


def _targets(runs: Runs) -> list[Target]:
    found = []
    for name, most in ((SQLITE, 4), (POSTGRESQL, 6)):
        if name in runs:
            found += [
                Target(f"{name}: loaded, s", statistics.median(_seconds(run) for run in runs[name]), most=most),
                Target(f"{name}: memory, MB", max(run["memory_mb"] for run in runs[name]), most=600),
                Target(f"{name}: full period, ms", _ms(runs[name], "full"), most=30),
                Target(f"{name}: 7.5 h unaligned, ms", _ms(runs[name], "7.5 h, unaligned"), most=60),
                Target(f"{name}: full, unaligned, ms", _ms(runs[name], "full, unaligned"), most=60),
            ]
    return found


def _ratios(runs: Runs, large: Runs) -> list[Target]:
    return [
        Target(f"{name}: ninety million / nine, {period}", _ms(large[name], period) / _ms(runs[name], period), most=4)
        for name in large
        for period in ("full", "full, Europe/Berlin")
    ]


def _seconds(run: Mapping[str, Any]) -> float:
    return float(run["load_s"])


def _ms(runs: Sequence[Mapping[str, Any]], period: str) -> float:
    return statistics.median(run["reports"][period]["ms"] for run in runs)


if __name__ == "__main__":
    raise SystemExit(main())
