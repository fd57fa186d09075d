"""PostgreSQL over psycopg 3: a few writer threads, each with group commit on a connection of its own."""

import asyncio
import time

from sqlalchemy import URL, Connection, Engine, Text, cast, create_engine, func, make_url, select

from signalbox.infra.db import single_statement
from signalbox.infra.db.database import SqlDatabase

READERS = 4
WRITERS = 4
CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 30_000
STAMP_AGE = 0.4
"""Seconds for which a look at the server's snapshot serves others too."""

_SNAPSHOT = select(cast(func.pg_current_snapshot(), Text))


def open_postgresql(url: str) -> SqlDatabase:
    """Open a database by its address, such as ``postgresql://user:password@host:5432/name``."""
    writer = postgresql_engine(url, pool_size=WRITERS)
    reader = postgresql_engine(url, pool_size=READERS).execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    )
    return SqlDatabase(
        dialect="postgresql", reader=reader, writer=writer, readers=READERS, writers=WRITERS, stamp=Snapshots()
    )


class Snapshots:
    """Which transactions are over, as the server says: one look for all who ask within ``STAMP_AGE``."""

    def __init__(self) -> None:
        self._look: asyncio.Future[str] | None = None
        """The newest look, over or under way."""
        self._at = -STAMP_AGE

    async def get(self, db: SqlDatabase) -> object:
        """See ``Database.stamp``."""
        now = time.monotonic()
        look = self._look
        if look is None or now >= self._at + STAMP_AGE or _has_failed(look):
            self._at = now
            look = self._look = asyncio.ensure_future(db.read(_snapshot))
            look.add_done_callback(_has_failed)  # takes note of a failure that nobody has waited for
        return await asyncio.shield(look)

    def close(self) -> None:
        """There is nothing to let go of."""


def _has_failed(look: asyncio.Future[str]) -> bool:
    return look.done() and (look.cancelled() or look.exception() is not None)


@single_statement
def _snapshot(tx: Connection) -> str:
    found: str = tx.execute(_SNAPSHOT).scalar_one()
    return found


def postgresql_engine(url: str, *, pool_size: int = 1) -> Engine:
    """An engine whose connections give up on a silent server and on runaway statements."""
    return create_engine(
        _with_driver(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_recycle=1800,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC",
            "application_name": "signalbox",
            "keepalives_idle": 30,
            "tcp_user_timeout": 10_000,
        },
    )


def _with_driver(url: str) -> URL:
    return make_url(url).set(drivername="postgresql+psycopg")
