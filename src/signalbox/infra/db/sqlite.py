"""SQLite in WAL mode: readers see snapshots while one writer thread commits in groups."""

import sqlite3
import time
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from signalbox.infra.db.database import SqlDatabase

BUSY_TIMEOUT_MS = 5_000
READERS = 4
WRITER_CACHE_KIB = 32_000
"""Pages that the writer keeps at most. With SQLite's 2,000 it writes the same pages of indexes again and again within one
large transaction, and reads them again for the next."""

Synchronous = Literal["FULL", "NORMAL"]


def open_sqlite(path: Path, *, synchronous: Synchronous = "FULL") -> SqlDatabase:
    """Open (and create) a database file.

    ``FULL`` forces every commit to disk. ``NORMAL`` may lose the last commits in a power failure, though
    never in a crash of the process, and is for statistics only.
    """
    writer = _engine(path, synchronous, begin="BEGIN IMMEDIATE", pool_size=1)
    reader = _engine(path, synchronous, begin="BEGIN", pool_size=READERS, query_only=True)
    return SqlDatabase(
        dialect="sqlite",
        reader=reader,
        writer=writer,
        readers=READERS,
        writers=1,
        change_count=_total_changes,
        background=synchronous == "NORMAL",
    )


def sqlite_engine(path: Path) -> Engine:
    """A plain engine that writes, for migrations."""
    return _engine(path, "FULL", begin="BEGIN IMMEDIATE", pool_size=1)


def _engine(path: Path, synchronous: Synchronous, *, begin: str, pool_size: int, query_only: bool = False) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000, "cached_statements": 128},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself: "begin" below does
        _enter_wal(connection)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -32000")
        connection.execute("PRAGMA cache_size = -32000")
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute("PRAGMA cache_size = -2000")
        connection.execute(f"PRAGMA query_only = {int(query_only)}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL. For others who do the same at the same time SQLite does not wait by itself."""
    give_up = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.005)
        else:
            return


def _total_changes(tx: Connection) -> int:
    changes: int = tx.connection.driver_connection.total_changes  # type: ignore[union-attr]
    return changes
