"""What it costs to keep calls: rows/s written and deleted, bytes for each row, on SQLite and PostgreSQL.

``python bench/calls.py``. The figures are what ``docs/architecture.md`` calculates its sizing from.
"""

import argparse
import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from sqlalchemy import Connection, text

from report import LEAST_ROUNDS, Report, publish
from signalbox.gateway import call_blocks, store
from signalbox.gateway.schemas import Call
from signalbox.infra.db import Database
from signalbox.infra.db.migrate import upgrade
from signalbox.infra.db.postgresql import open_postgresql, postgresql_engine
from signalbox.infra.db.sqlite import open_sqlite, sqlite_engine
from support import folder

BATCH = 10_000
"""Calls in one transaction: half a second at 20,000 requests/s."""

POSTGRESQL = os.environ.get("SIGNALBOX_TEST_POSTGRESQL_URL") or "postgresql://postgres@127.0.0.1:5432/postgres"


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    options = parser.parse_args()
    measured = {
        "SQLite, WAL, synchronous=NORMAL": [asyncio.run(_sqlite(options.rows)) for _ in range(options.rounds)],
        "PostgreSQL, COPY": [asyncio.run(_postgresql(options.rows)) for _ in range(options.rounds)],
    }
    return publish(_report(measured, options), keep=options.rounds >= LEAST_ROUNDS)


async def _sqlite(rows: int) -> tuple[float, float, float]:
    with folder() as place:
        path = place / "calls.db"
        engine = sqlite_engine(path)
        upgrade(engine, "calls")
        engine.dispose()
        return await _measure(open_sqlite(path, synchronous="NORMAL"), rows, lambda _tx: _size(path))


async def _postgresql(rows: int) -> tuple[float, float, float]:
    name = f"signalbox_bench_{os.getpid()}"
    admin = postgresql_engine(POSTGRESQL).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = POSTGRESQL.rpartition("/")[0] + f"/{name}"
    try:
        engine = postgresql_engine(url)
        upgrade(engine, "calls")
        engine.dispose()
        return await _measure(open_postgresql(url), rows, _relation_size)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()


async def _measure(db: Database, rows: int, size: Callable[[Connection], int]) -> tuple[float, float, float]:
    """Rows/s written, rows/s deleted, bytes for each row."""
    batches = [_batch(start) for start in range(0, rows, BATCH)]
    started = time.perf_counter()
    for batch in batches:
        await db.write(store.write_batch, call_blocks.pack(batch), [])
    written = rows / (time.perf_counter() - started)
    each = await db.read(size) / rows
    started, deleted = time.perf_counter(), 0
    while done := await db.write(call_blocks.delete_calls, older_than=0, keep=rows // 2, limit=2_000):
        deleted += done
    removed = deleted / (time.perf_counter() - started)
    await db.close()
    return written, removed, each


def _batch(start: int) -> list[Call]:
    dice = random.Random(start)
    now = 1_790_000_000_000_000
    return [
        Call(
            created_at=now + (start + number) * 20,
            path=f"/categories/MLA{dice.randrange(100_000)}",
            route="/categories/{id}",
            upstream="shop",
            method="GET",
            status=dice.choices((200, 503), (99, 1))[0],
            micros=dice.randrange(500, 50_000),
            request_bytes=0,
            response_bytes=300,
            client="10.0.0.17",
            app="storefront",
            request_id=f"{dice.getrandbits(128):032x}",
        )
        for number in range(BATCH)
    ]


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.parent.glob("calls.db*") if not each.name.endswith("-shm"))


def _relation_size(tx: Connection) -> int:
    return int(tx.execute(text("SELECT pg_total_relation_size('call')")).scalar_one())


def _report(measured: dict[str, list[tuple[float, float, float]]], options: argparse.Namespace) -> Report:
    medians = {name: [median(column) for column in zip(*runs, strict=True)] for name, runs in measured.items()}
    return Report(
        name="calls",
        title="Keeping calls: one writer, no other load",
        how=f"{options.rows:,} calls in transactions of {BATCH:,}, then half of them deleted in batches of 2,000; "
        f"medians of {options.rounds} rounds; client and database share the machine.",
        columns=("store", "rows/s written", "rows/s deleted", "bytes/row with indexes"),
        rows=[(name, f"{a:,.0f}", f"{b:,.0f}", f"{c:,.0f}") for name, (a, b, c) in medians.items()],
        targets=[],
        settings={},
        raw={name: [list(run) for run in runs] for name, runs in measured.items()},
    )


if __name__ == "__main__":
    raise SystemExit(main())
