"""A data set, its import into the hub while somebody else writes, and the same rows in a table for peers."""

import asyncio
import json
import os
import random
import resource
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from pathlib import Path
from urllib.parse import quote_plus

from signalbox.app.hub import open_context
from signalbox.app.load import Sources
from signalbox.app.load import load as load_settings
from signalbox.conversations import answers
from signalbox.conversations.filters import Filter
from signalbox.conversations.runtime import load
from signalbox.sandbox.interviews import TAGS, Size, make_dataset
from support import TESTED_CORE, on_core, tool

COMPANIES = 20
PER_PAGE = 50
PIECE = 20_000
WRITE_EVERY = 0.02
"""Seconds between two transactions of another writer."""

Waits = list[tuple[float, float]]
"""When a transaction of another writer was begun (seconds since 1970), and how many seconds it took."""


@dataclass(frozen=True)
class Imported:
    """What an import took: rows of conversations and monologues, seconds, and milliseconds that another writer waited."""

    rows: int
    live: float
    """Until readers saw it."""
    words: float
    """After that, until words could be searched for."""
    cpu: float
    wait_live: float
    """p99, until readers saw it."""
    wait_words: float
    """p99, after that."""
    wait_max: float
    memory: int
    """MB that the command held at most."""


@dataclass(frozen=True)
class Query:
    """One search: a company, two tags, a page."""

    company: str
    tags: tuple[str, str]
    page: int


def make(folder: Path, rows: int) -> Path:
    """A new data set of so many conversations, and a quarter as many monologues."""
    make_dataset(folder, Size(rows, companies=COMPANIES, parts=8))
    return folder


def run_import(folder: Path, data: Path) -> Imported:
    """Import a data set with the command, on one core, into an empty database that another process writes to."""
    environment = {**os.environ, "SIGNALBOX_DATA_DIR": str(data), "SIGNALBOX_LOG__LEVEL": "warning"}
    _run("db", "upgrade", env=environment)
    command = on_core(TESTED_CORE, [tool("signalbox"), "conversations", "import", str(folder), "--json"])
    waits: Waits = []
    ended = threading.Event()
    writer = threading.Thread(target=_write_beside, args=(data / "signalbox.db", waits, ended))
    cpu_before = _child_seconds()
    writer.start()
    try:
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    finally:
        end = time.time()
        ended.set()
        writer.join()
    told = json.loads(ran.stdout)
    begun, live = (datetime.fromisoformat(told[name]).timestamp() for name in ("created_at", "live_at"))
    return Imported(
        rows=told["rows_total"],
        live=live - begun,
        words=end - live,
        cpu=_child_seconds() - cpu_before,
        wait_live=_p99(took for at, took in waits if at < live),
        wait_words=_p99(took for at, took in waits if at >= live),
        wait_max=max(took for _, took in waits) * 1e3,
        memory=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
    )


def _p99(seconds: Iterable[float]) -> float:
    """Milliseconds; 0 where there are none."""
    ordered = sorted(seconds)
    return ordered[int(len(ordered) * 0.99)] * 1e3 if ordered else 0.0


def make_token(data: Path) -> str:
    """A token that may search."""
    environment = {**os.environ, "SIGNALBOX_DATA_DIR": str(data)}
    return _run("tokens", "create", "--app", "bench", "--scope", "conversations:read", env=environment).strip()


def fill_table(data: Path, target: Path) -> None:
    """Write the conversations of a hub's database into one table with an index that answers searches by itself."""
    with closing(sqlite3.connect(target)) as connection, connection:
        connection.execute("CREATE TABLE item (rank INTEGER PRIMARY KEY, id INTEGER, company TEXT, tag TEXT)")
        asyncio.run(_copy(data, connection))
        connection.execute("CREATE INDEX item_search ON item (company, tag, rank, id)")
        connection.execute("ANALYZE")


async def _copy(data: Path, connection: sqlite3.Connection) -> None:
    async with open_context(load_settings({"data_dir": data}, Sources())) as context:
        searcher = await context.db.read(load)
        found = searcher.find(Filter()).tolist()
        for first in range(0, len(found), PIECE):
            items = await context.db.read(answers.read_items, searcher, found[first : first + PIECE])
            rows = [(first + at, each.id, each.company, next(iter(each.tags), None)) for at, each in enumerate(items)]
            connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", rows)


def queries(database: Path, most: int) -> list[Query]:
    """So many different searches at most, each of a page that is there, in no order."""
    with closing(sqlite3.connect(database)) as connection:
        sql = "SELECT company, tag, count(*) FROM item WHERE tag IS NOT NULL GROUP BY 1, 2"
        counts = {(company, tag): count for company, tag, count in connection.execute(sql)}
    companies = sorted({company for company, _ in counts})
    found = [
        Query(company, pair, page)
        for company in companies
        for pair in combinations(sorted(TAGS), 2)
        for page in range(1, 1 + -(-sum(counts.get((company, tag), 0) for tag in pair) // PER_PAGE))
    ]
    random.Random(1).shuffle(found)
    return found[:most]


def expected(database: Path, query: Query) -> tuple[list[int], int]:
    """Ids on the page, and how many there are on all."""
    with closing(sqlite3.connect(database)) as connection:
        sql = "SELECT id FROM item WHERE company = ? AND tag IN (?, ?) ORDER BY rank"
        found = [row[0] for row in connection.execute(sql, (query.company, *query.tags))]
    return found[(query.page - 1) * PER_PAGE : query.page * PER_PAGE], len(found)


def to_query(query: Query) -> str:
    """As the hub and the SQLModel peer are asked."""
    tags = ",".join(query.tags)
    return f"company={quote_plus(query.company)}&tags={tags}&page={query.page}&per_page={PER_PAGE}"


def _write_beside(database: Path, waits: Waits, ended: threading.Event) -> None:
    """Make small transactions as another process would, and take down how long each takes."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=5)) as connection:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE TABLE bench_beside (at REAL)")
        while not ended.wait(WRITE_EVERY):
            at, begun = time.time(), time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO bench_beside VALUES (?)", (begun,))
            connection.execute("COMMIT")
            waits.append((at, time.perf_counter() - begun))
        connection.execute("DROP TABLE bench_beside")


def _run(*words: str, env: dict[str, str]) -> str:
    return subprocess.run([tool("signalbox"), *words], env=env, capture_output=True, text=True, check=True).stdout


def _child_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
