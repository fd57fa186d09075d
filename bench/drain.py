"""No-op jobs: how many a second each engine drains with one core, and how soon the hub's begins a single one."""

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psycopg
from rich.console import Console

from databases import postgresql_database, server_version
from peers.progress import read_progress
from support import BENCH, LOAD_CORE, TESTED_CORE, find, folder, on_core, stop

HUB_POSTGRESQL = "Signalbox, PostgreSQL"
HUB_SQLITE = "Signalbox, SQLite"
PGQUEUER = "PgQueuer"
CELERY = "Celery, prefork"

PEERS = BENCH / "peers"
BROKER = os.environ.get("SIGNALBOX_TEST_RABBITMQ_URL") or "amqp://guest:guest@127.0.0.1:5672/"
PREFORK = 2
PATIENCE = 120.0


@dataclass(frozen=True)
class Engine:
    """How an engine is filled and started, and how many jobs it has left, given its environment."""

    name: str
    settings: str
    open: Callable[[Path], "contextmanager[Mapping[str, str]]"]
    fill: Sequence[str]
    work: Sequence[str]
    left: Callable[[Mapping[str, str]], int]
    share: int = 1
    """What part of the jobs it gets: one that is slow would take minutes."""


def engines() -> list[Engine]:
    """Return all of them, each at the settings that served it best."""
    python = sys.executable
    hub = {"fill": [python, "noop_hub.py", "fill"], "work": [python, "noop_hub.py", "work"]}
    celery = [python, "-m", "celery", "-A", "noop_celery", "worker", "-P", "prefork", "-c", str(PREFORK)]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
    at_once = "2,000 jobs at once, claimed and recorded by the thousand"
    return [
        Engine(HUB_POSTGRESQL, f"{server_version()}, psycopg; {at_once}", _postgresql, left=_left_in_jobs, **hub),
        Engine(HUB_SQLITE, f"WAL, synchronous=FULL; {at_once}", _sqlite, left=_left_in_file, **hub),
        Engine(
            PGQUEUER,
            f"{version('pgqueuer')}; {server_version()}, asyncpg, uvloop; batch_size=1000, durability balanced",
            _postgresql,
            [python, "noop_pgqueuer.py", "fill"],
            [python, "noop_pgqueuer.py", "work"],
            _left_in_pgqueuer,
        ),
        Engine(
            CELERY,
            f"{version('celery')}; RabbitMQ, py-amqp; {PREFORK} processes, acks late, prefetch 64 each, results ignored,"
            " no gossip, mingle or heartbeat",
            _broker,
            [python, "noop_celery.py", "fill"],
            [*celery, *quiet],
            lambda _env: 0,
            share=5,
        ),
    ]


def drain_rate(engine: Engine, jobs: int) -> float:
    """Return the jobs/s from the beginning of the first to the moment in which all are done and recorded."""
    count = jobs // engine.share
    with folder() as place, engine.open(place) as env:
        whole = {**os.environ, **env, "PROGRESS": str(place)}
        subprocess.run(on_core(LOAD_CORE, [*engine.fill, str(count)]), check=True, cwd=PEERS, env=whole)
        with (place / "log").open("wb") as log:
            command = on_core(TESTED_CORE, engine.work)
            worker = subprocess.Popen(command, cwd=PEERS, env=whole, stdout=log, stderr=log, start_new_session=True)
            try:
                return count / _time_taken(engine, env, place, count, worker)
            finally:
                stop(worker)


def start_latency(database: str, samples: int) -> float:
    """Return the median of milliseconds from before a job is enqueued to its beginning, on an idle worker."""
    opened = _postgresql if database == "postgresql" else _sqlite
    with folder() as place, opened(place) as env:
        whole = {**os.environ, **env, "PROGRESS": str(place)}
        for what in (["fill", "0"], ["latency", str(samples)]):
            command = on_core(TESTED_CORE, [sys.executable, "noop_hub.py", *what])
            ran = subprocess.run(command, check=True, cwd=PEERS, env=whole, capture_output=True, text=True)
        return statistics.median(json.loads(ran.stdout))


def _time_taken(
    engine: Engine, env: Mapping[str, str], place: Path, count: int, worker: "subprocess.Popen[bytes]"
) -> float:
    until = time.monotonic() + PATIENCE
    while True:
        first, done = read_progress(place)
        if done >= count and engine.left(env) == 0:
            return time.time() - first
        if worker.poll() is not None or time.monotonic() > until:
            msg = f"{engine.name}: {done} of {count} are done\n{(place / 'log').read_text()[-2000:]}"
            raise RuntimeError(msg)
        time.sleep(0.005)


@contextmanager
def _postgresql(_place: Path) -> Iterator[Mapping[str, str]]:
    with postgresql_database() as url:
        yield {"DATABASE": url, "PGQUEUER_DURABILITY": "balanced"}  # its jobs are logged, what it notes of them is not


@contextmanager
def _sqlite(place: Path) -> Iterator[Mapping[str, str]]:
    yield {"DATABASE": str(place)}


@contextmanager
def _broker(place: Path) -> Iterator[Mapping[str, str]]:
    env = {"BROKER": BROKER, "QUEUE": f"signalbox-bench-{uuid.uuid4().hex[:8]}", "PROGRESS": str(place)}
    try:
        yield env
    finally:
        command = [sys.executable, "noop_celery.py", "delete"]
        subprocess.run(command, check=False, cwd=PEERS, env={**os.environ, **env})


def _left_in_jobs(env: Mapping[str, str]) -> int:
    with psycopg.connect(env["DATABASE"]) as connection:
        row = connection.execute("SELECT count(*) FROM job WHERE ended_at IS NULL").fetchone()
        return int(row[0]) if row else 0


def _left_in_pgqueuer(env: Mapping[str, str]) -> int:
    with psycopg.connect(env["DATABASE"]) as connection:
        row = connection.execute("SELECT count(*) FROM pgqueuer").fetchone()
        return int(row[0]) if row else 0


def _left_in_file(env: Mapping[str, str]) -> int:
    with closing(sqlite3.connect(Path(env["DATABASE"]) / "jobs.db", timeout=30)) as connection:
        return int(connection.execute("SELECT count(*) FROM job WHERE ended_at IS NULL").fetchone()[0])


def say(text: str) -> None:
    """Print what has just been measured."""
    Console().print(text)


def broker_version() -> str:
    """Return what RabbitMQ says it is, where its command can be asked."""
    path = find("rabbitmqctl")
    if path is None:
        return "RabbitMQ"
    ran = subprocess.run([path, "version"], capture_output=True, text=True, check=False)
    return f"RabbitMQ {ran.stdout.strip().splitlines()[-1] if ran.stdout.strip() else ''}".strip()
