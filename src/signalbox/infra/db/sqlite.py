"""SQLite in WAL mode: readers see snapshots while one writer thread commits in groups."""

import sqlite3
import time
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import QueuePool

from signalbox.infra.db import DatabaseDamagedError
from signalbox.infra.db.database import SqlDatabase

BUSY_TIMEOUT_MS = 5_000
READERS = 4
CACHE_KIB, WRITER_CACHE_KIB = 2_000, 32_000
"""Pages that a connection keeps, SQLite's own default for readers. Imports touch more. Memory is taken only as pages
are."""

Synchronous = Literal["FULL", "NORMAL"]

_DAMAGED = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
_PRIMARY_CODE = 0xFF
"""What an extended error code of SQLite, such as SQLITE_CORRUPT_INDEX, shares with its family."""


def open_sqlite(path: Path, *, synchronous: Synchronous = "FULL") -> SqlDatabase:
    """Open (and create) a database file.

    ``FULL`` forces every commit to disk. ``NORMAL`` may lose the last commits in a power failure, though
    never in a crash of the process, and is for statistics only. Where the file is no database, whoever reads or writes
    gets ``DatabaseDamagedError``.
    """
    writer = _engine(path, synchronous, begin="BEGIN IMMEDIATE", pool_size=1, cache_kib=WRITER_CACHE_KIB)
    reader = _engine(path, synchronous, begin="BEGIN", pool_size=READERS, query_only=True)
    return SqlDatabase(
        dialect="sqlite",
        reader=reader,
        writer=writer,
        readers=READERS,
        writers=1,
        change_count=_total_changes,
        background=synchronous == "NORMAL",
        stamp=DataVersion(path),
    )


class DataVersion:
    """SQLite's count of what other connections have committed: some microseconds, read from shared memory in the loop.

    Its connection never writes, so all that is committed is by others.
    """

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.absolute().as_uri()}?mode=rw"  # one that is away is not made
        self._connection: sqlite3.Connection | None = None
        self._opened = 0
        """How often: each connection counts for itself, from the same number on."""

    async def get(self, _db: SqlDatabase) -> object:
        """See ``Database.stamp``; where the file is busy, it is taken for changed."""
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._uri, uri=True, timeout=0, isolation_level=None)
                self._opened += 1
            return self._opened, *self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError:
            self.close()
            return object()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def sqlite_engine(path: Path) -> Engine:
    """A plain engine that writes, for migrations."""
    return _engine(path, "FULL", begin="BEGIN IMMEDIATE", pool_size=1)


def _engine(
    path: Path,
    synchronous: Synchronous,
    *,
    begin: str,
    pool_size: int,
    query_only: bool = False,
    cache_kib: int = CACHE_KIB,
) -> Engine:
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
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute(f"PRAGMA query_only = {int(query_only)}")

    @event.listens_for(engine, "handle_error")
    def tell_damage(context: ExceptionContext) -> None:
        error = context.original_exception
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in _DAMAGED:
            msg = f"{path} is damaged ({error}); put a backup in its place, or move it away to begin with an empty one"
            raise DatabaseDamagedError(msg) from error

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
