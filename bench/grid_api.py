"""What the API of a hub with a grid takes: single readings, and requests while reports are made and files come in.

``python bench/grid_api.py``; ``--seconds`` and ``--rounds`` shorten it. SQLite, 64 connections.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from grid_data import component, write
from load import CONNECTIONS, Run, wrk
from report import LEAST_ROUNDS, Report, Target, publish
from servers import running_hub
from signalbox.grid import blocks, folding
from signalbox.infra.db.sqlite import open_sqlite
from support import LOAD_CORE, Running, folder, on_core, require, tool, version

COMPONENTS = 100
MINUTES = 30_000
SCOPES = ("grid:read", "grid:write")
READS = "/api/components?limit=20"
PERIOD = {"start_date": "2026-01-01", "end_date": "2026-01-22", "timezone": "Europe/Berlin"}


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    require("taskset", "signalbox", "wrk")
    found: dict[str, list[Run]] = {}
    with folder() as shared:
        file = shared / "readings.parquet"
        write(file, components=COMPONENTS, minutes=options.minutes)
        for number in range(options.rounds):
            for name, run in _round(options.seconds, options.minutes, file):
                found.setdefault(name, []).append(run)
                Console().print(f"round {number + 1}: {name}: {run.rate:,.0f}/s, p99 {run.p99:.1f} ms")
    return publish(_report(found, options), keep=options.rounds >= LEAST_ROUNDS and options.minutes == MINUTES)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--minutes", type=int, default=MINUTES, help="readings of each series that are imported")
    return parser.parse_args()


def _round(seconds: int, minutes: int, file: Path) -> Iterator[tuple[str, Run]]:
    with folder() as place, running_hub(place, "") as started:
        hub = replace(started, token=_token(place))
        for number in range(1, COMPONENTS + 1):
            _ask(hub, "/api/components", component(number))
        yield "single readings", _load(hub, "/api/measurements", seconds, "measurements.lua")
        with _importing(place, file):
            yield (
                "single readings, 9,000,000 imported meanwhile",
                _load(hub, "/api/measurements", seconds, "measurements.lua"),
            )
        asyncio.run(_settle(place))
        yield "list of components", _load(hub, READS, seconds, "token.lua")
        with _reporting(hub):
            yield "list of components, reports made meanwhile", _load(hub, READS, seconds, "token.lua")
        _check(place, minutes)


def _load(hub: Running, path: str, seconds: int, script: str) -> Run:
    return wrk(hub.url + path, hub, seconds, script=script)


@contextmanager
def _importing(place: Path, file: Path) -> Iterator[None]:
    """A command that imports the file beside the server, on the core of the load."""
    command = on_core(LOAD_CORE, [*_command(place), "grid", "import", "measurements", str(file)])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield
        if process.wait(120):
            raise RuntimeError(process.stderr.read().decode() if process.stderr else "")
    finally:
        process.kill()
        process.wait()


@contextmanager
def _reporting(hub: Running) -> Iterator[None]:
    """One report ordered after the other, each waited for."""
    over = threading.Event()

    def order() -> None:
        while not over.is_set():
            made = _ask(hub, "/api/reports", PERIOD)
            _ask(hub, f"/api/reports/{made['id']}?wait=30")

    thread = threading.Thread(target=order)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _ask(hub: Running, path: str, body: object | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(hub.url + path, data, {"Content-Type": "application/json", "Token": hub.token})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def _token(place: Path) -> str:
    command = [*_command(place), "tokens", "create", "--app", "bench"]
    command += [word for scope in SCOPES for word in ("--scope", scope)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    return ran.stdout.strip().splitlines()[-1]


def _command(place: Path) -> list[str]:
    return [tool("signalbox"), "--config", str(place / "signalbox.toml"), "--data-dir", str(place / "data")]


async def _settle(place: Path) -> None:
    """Do what sweeps would within a minute: what reports do to others is measured, not what an import leaves behind."""
    db = open_sqlite(place / "data" / "signalbox.db")
    now = time.time_ns() // 1_000
    while await db.write(folding.fold_tail, now=now):
        pass
    while await db.write(blocks.build_blocks, now=now, limit=100):
        pass
    await db.close()


def _check(place: Path, minutes: int) -> None:
    """Raise RuntimeError unless all of the file is there, and sweeps have kept the tail short."""
    time.sleep(0.5)
    with closing(sqlite3.connect(place / "data" / "signalbox.db", timeout=30)) as connection:
        (rows,) = connection.execute("SELECT coalesce(sum(n), 0) FROM grid_rollup").fetchone()
        (tail,) = connection.execute("SELECT count(*) FROM grid_tail").fetchone()
    Console().print(f"{rows:,} readings in chunks, {tail:,} in the tail")
    if rows < minutes * COMPONENTS * 3:
        msg = f"only {rows} readings are in chunks"
        raise RuntimeError(msg)


def _report(found: dict[str, list[Run]], options: argparse.Namespace) -> Report:
    medians = {
        name: (_median(runs, "rate"), _median(runs, "p50"), _median(runs, "p99")) for name, runs in found.items()
    }
    single, beside, alone, reporting = medians.values()
    return Report(
        name="grid_api",
        title="The grid's API on SQLite: single readings, and requests beside an import and beside reports",
        how=f"wrk with 1 thread and {CONNECTIONS} keep-alive connections for {options.seconds} s; medians of "
        f"{options.rounds} rounds, each with a fresh hub on one core and wrk on another. Single readings: POST "
        f"/api/measurements, each on disk before its 201. The import is `signalbox grid import measurements` of "
        f"{options.minutes * COMPONENTS * 3:,} readings, a process of its own on wrk's core. Reports: of the whole period, by "
        "days of Europe/Berlin, one ordered after the other has been made; of sums that sweeps have built.",
        columns=("requests", "requests/s", "p50, ms", "p99, ms"),
        rows=[(name, f"{a:,.0f}", f"{b:.2f}", f"{c:.2f}") for name, (a, b, c) in medians.items()],
        targets=[
            Target("single readings, requests/s", single[0], least=4_000),
            Target("p99 beside an import, ms", beside[2], most=200),
            Target("p99 beside reports / without", reporting[2] / alone[2], most=2),
        ],
        settings={"Signalbox": f"{version('signalbox', '--version')}; SQLite, WAL, synchronous=FULL, group commit"},
        raw={name: [asdict(run) for run in runs] for name, runs in found.items()},
    )


def _median(runs: Sequence[Run], name: str) -> float:
    return statistics.median(getattr(run, name) for run in runs)


if __name__ == "__main__":
    raise SystemExit(main())
