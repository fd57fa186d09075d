"""Tasks of a hub with a simulated provider: intake, a poll that changes all that is in flight, and the idle time between."""

import json
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from databases import postgresql_database
from servers import running_hub
from support import LOAD_CORE, Candidate, Running, find, folder, free_port, server, tool, version

SCOPES = ("tasks:write", "tasks:read")
BATCH = 10_000
ORDERED = 5_000
SETTLED = 3.0
"""Seconds from the end of a poll until what followed from it is done."""
WATCHED = 6.0
"""Seconds in which idle CPU is taken, in nanoseconds as the scheduler counts them."""
PATIENCE = 120.0

_PROVIDER = """
{database}
[tasks]
default_provider = "acme"

[[tasks.providers]]
name = "acme"
kind = "http-json"
submit_url = "{url}/tasks"
list_url = "{url}/tasks"
poll_interval = {interval}
limits = {limits}
"""


@dataclass(frozen=True)
class Flight:
    """One run; see ``fly``."""

    poll_seconds: float
    """From the provider's being asked to the commit of the last task."""
    idle_core: float
    """Share of a core that the hub took between two polls."""


def intake_hub() -> Candidate:
    """Return Signalbox on SQLite with a provider whose limit lets nothing but intake happen."""

    @contextmanager
    def start(place: Path) -> Iterator[Running]:
        config = _PROVIDER.format(database="", url="http://127.0.0.1:9", interval=60, limits='["1/1000s"]')
        with running_hub(place, config) as running:
            yield replace(running, token=_token(place))

    settings = f"{version('signalbox', '--version')}; SQLite, WAL, synchronous=FULL, group commit; one provider"
    return Candidate("Signalbox", settings, start, path="/api/tasks")


def check_rows(candidate: Candidate, place: Path, accepted: int) -> None:
    """Raise RuntimeError unless there are as many tasks as there were 2xx."""
    with closing(sqlite3.connect(place / "data" / "signalbox.db", timeout=30)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM task").fetchone()
    if rows < accepted:
        msg = f"{candidate.name}: {accepted} requests were accepted, but only {rows} rows are there"
        raise RuntimeError(msg)


def fly(count: int, *, database: str, interval: float) -> Flight:
    """Hand ``count`` tasks over, watch the hub between two polls, then have the provider say that all are completed.

    ``database`` is ``sqlite`` or ``postgresql``. The provider is a process of its own on the core of the load.
    """
    with folder() as place, _database(database) as url, _provider(place) as provider:
        line = f'database_url = "{url}"' if url else ""
        with running_hub(
            place, _PROVIDER.format(database=line, url=provider.url, interval=interval, limits="[]")
        ) as hub:
            ids = _hand_over(replace(hub, token=_token(place)), count)
            _order(provider, ids, "In Progress")
            if url:
                _analyze(url)
            began = time.time()
            _wait_for_poll(place, url, after=began, changed=0)
            time.sleep(SETTLED)
            before, started = _run_seconds(hub.pid), time.perf_counter()
            time.sleep(min(WATCHED, interval - SETTLED - 2))
            idle = (_run_seconds(hub.pid) - before) / (time.perf_counter() - started)
            _order(provider, ids, "Completed")
            ended = _wait_for_poll(place, url, after=began, changed=count)
            return Flight(ended - _asked_at(provider), idle)


def _run_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process so far: ticks of 10 ms are too coarse for an idle one."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


@contextmanager
def _database(kind: str) -> Iterator[str]:
    if kind == "sqlite":
        yield ""
        return
    with postgresql_database() as url:
        yield url


@contextmanager
def _provider(place: Path) -> Iterator[Running]:
    port, own = free_port(), place / "provider"
    own.mkdir()
    command = [str(find("python") or "python"), "-m", "signalbox.sandbox.provider", "--port", str(port)]
    with server(command, port, core=LOAD_CORE, place=own) as running:
        yield running


def _token(place: Path) -> str:
    command = [tool("signalbox"), "--config", str(place / "signalbox.toml"), "--data-dir", str(place / "data")]
    command += ["tokens", "create", "--app", "bench", *(word for scope in SCOPES for word in ("--scope", scope))]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    return ran.stdout.strip().splitlines()[-1]


def _hand_over(hub: Running, count: int) -> list[str]:
    ids: list[str] = []
    for start in range(0, count, BATCH):
        rows = [{"status": "In Progress"}] * min(BATCH, count - start)
        answer = _post(f"{hub.url}/api/tasks/batch", rows, {"Token": hub.token})
        ids += [str(row["id"]) for row in answer]
    return ids


def _order(provider: Running, ids: list[str], status: str) -> None:
    for start in range(0, len(ids), ORDERED):
        part = [{"id": each, "status": status} for each in ids[start : start + ORDERED]]
        _post(f"{provider.url}/control/tasks", part, {})


def _post(url: str, body: object, headers: dict[str, str]) -> list[dict[str, object]]:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        answer: list[dict[str, object]] = json.load(response)
        return answer


def _asked_at(provider: Running) -> float:
    """When the last poll arrived there, in seconds since 1970; the provider's own clock is this machine's."""
    with urllib.request.urlopen(f"{provider.url}/control/arrivals") as response:
        arrivals = json.load(response)
    asked = max(at for at, route, admitted in arrivals if route == "list" and admitted)
    return float(asked) - time.monotonic() + time.time()


def _wait_for_poll(place: Path, url: str, *, after: float, changed: int) -> float:
    """When a poll that changed so many was over, in seconds since 1970."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        row = _last_poll(place, url)
        if row is not None and row[0] is not None and row[0] / 1e6 > after and row[1] == changed:
            return float(row[0]) / 1e6
        time.sleep(0.1)
    msg = f"no poll changed {changed} tasks\n{(place / 'log').read_text(errors='replace')[-2000:]}"
    raise RuntimeError(msg)


def _last_poll(place: Path, url: str) -> tuple[int | None, int] | None:
    query = "SELECT polled_at, changed FROM task_provider WHERE name = 'acme' AND poll_error IS NULL"
    if url:
        with psycopg.connect(url) as connection:
            found: tuple[int | None, int] | None = connection.execute(query).fetchone()
            return found
    with closing(sqlite3.connect(place / "data" / "signalbox.db", timeout=30)) as connection:
        row: tuple[int | None, int] | None = connection.execute(query).fetchone()
        return row


def _analyze(url: str) -> None:
    """What autovacuum does by itself a minute later."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE task")
