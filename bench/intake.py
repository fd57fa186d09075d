"""Durable intake: POSTs per second of which each is on disk before its 2xx, on SQLite, 64 connections.

``python bench/intake.py``. After every run the rows in the database are counted: each 2xx has to be one of them.
"""

import argparse
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from load import COLUMNS, CONNECTIONS, WARM_UP_SECONDS, Load, Run, interleaved, median, row
from report import LEAST_ROUNDS, Report, Target, publish
from servers import durable_hub, python_peer
from support import Candidate, require

LEAST_RATE = 5_000.0
REFERENCE = "reference style: ORM session per request, default journal"
CAREFUL = "sqlite3, WAL, synchronous=FULL, commit per request"
HUB = "Signalbox"


@dataclass(frozen=True)
class Intake:
    """Where a candidate takes POSTs, and where its rows are then found in the folder of the run."""

    path: str
    database: str
    table: str


PEER = Intake("/intake", "intake.sqlite", "entry")

HUB_INTAKE = Intake("/api/notes", "data/signalbox.db", "audit")


def main() -> int:
    """Measure, print and keep; the exit status tells whether the target was met."""
    options = _options()
    require("wrk", "taskset", *(["signalbox"] if not options.without_hub else []))
    candidates = [*_peers(), *([] if options.without_hub else [_hub()])]
    load = Load(options.seconds, options.rounds, script="intake.lua")
    runs = interleaved(candidates, load, _check_rows)
    keep = not options.without_hub and options.rounds >= LEAST_ROUNDS
    return publish(_report(candidates, runs, options), keep=keep)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--without-hub", action="store_true")
    return parser.parse_args()


def _peers() -> list[Candidate]:
    env = {"DATABASE": f"{{folder}}/{PEER.database}"}
    orm = "FastAPI, SQLAlchemy ORM, a session per request in a thread, SQLite's default journal and synchronous=FULL"
    wal = "FastAPI, sqlite3 with one connection, WAL, synchronous=FULL, a commit per request in a thread"
    peers = [python_peer(REFERENCE, "orm_intake", orm, env), python_peer(CAREFUL, "wal_intake", wal, env)]
    return [replace(peer, path=PEER.path) for peer in peers]


def _hub() -> Candidate:
    return replace(durable_hub(), name=HUB, path=HUB_INTAKE.path)


def _check_rows(candidate: Candidate, place: Path, accepted: int) -> None:
    """Raise RuntimeError unless there are as many rows as there were 2xx."""
    where = HUB_INTAKE if candidate.name == HUB else PEER
    with closing(sqlite3.connect(place / where.database, timeout=30)) as connection:
        (rows,) = connection.execute(f"SELECT count(*) FROM {where.table}").fetchone()  # noqa: S608 (our own names)
    if rows < accepted:
        msg = f"{candidate.name}: {accepted} requests were accepted, but only {rows} rows are there"
        raise RuntimeError(msg)


def _report(candidates: Sequence[Candidate], runs: Mapping[str, list[Run]], options: argparse.Namespace) -> Report:
    reached = {name: median(each).rate for name, each in runs.items()}
    return Report(
        name="intake",
        title="Durable intake: POSTs/s through one core, each on disk before its 2xx",
        how=f"wrk with 1 thread and {CONNECTIONS} keep-alive connections for {options.seconds} s after "
        f"{WARM_UP_SECONDS} s of warm-up, each body with an id of its own; medians of {options.rounds} interleaved "
        "rounds, every server freshly started; the server on one core, wrk on another; rows counted after each run.",
        columns=("server", *COLUMNS),
        rows=[(name, *row(each)) for name, each in runs.items()],
        targets=[Target("durable intake, requests/s", reached[HUB], least=LEAST_RATE)] if HUB in reached else [],
        settings={candidate.name: candidate.settings for candidate in candidates},
        raw={name: [asdict(run) for run in each] for name, each in runs.items()},
    )


if __name__ == "__main__":
    raise SystemExit(main())
