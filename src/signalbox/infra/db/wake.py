"""Tells those who wait for rows that there may be some: always a hint, never the truth.

Whoever writes what somebody waits for says so to its transaction, by a name: a kind of job, or ``events``. After COMMIT
the connection goes back to its pool, which is where ``CommitWatch`` hears of it, so that a worker in the same process
looks at once. Other processes on PostgreSQL are told by NOTIFY, which the server sends on at COMMIT.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, event, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from signalbox.infra.db import Database

CHANNEL = "signalbox_jobs"

Wake = Callable[[str, int], None]
"""Called with a name and the moment, in microseconds UTC, from which there may be something to do."""

_NAME = func.unnest(bindparam("names", type_=ARRAY(Text))).column_valued("name")
_NOTIFY = select(func.pg_notify(CHANNEL, _NAME))


def mark(tx: Connection, name: str, due_at: int) -> None:
    """Wake those in this process who wait for ``name`` when ``tx`` has ended."""
    marks = tx.info.setdefault(CHANNEL, {})
    if due_at < marks.get(name, due_at + 1):
        marks[name] = due_at


def notify(tx: Connection, names: Iterable[str]) -> None:
    """Wake those in other processes too when ``tx`` is committed; on SQLite there are none."""
    if tx.dialect.name == "postgresql":
        tx.execute(_NOTIFY, {"names": list(names)})


class CommitWatch:
    """Calls ``wake`` in the event loop after each transaction in this process that marked something."""

    def __init__(self, db: Database, wake: Wake) -> None:
        self._db, self._wake = db, wake
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None

    async def open(self) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        self._engine = await self._db.write(_engine_of)
        event.listen(self._engine, "checkout", self._forget)
        event.listen(self._engine, "checkin", self._heard)

    def close(self) -> None:
        """Listen no more."""
        if self._engine is not None:
            event.remove(self._engine, "checkout", self._forget)
            event.remove(self._engine, "checkin", self._heard)
            self._engine = None

    def _heard(self, _connection: Any, record: Any) -> None:
        """In the thread of the writer, after the end of its transaction, whatever became of it."""
        marks = record.info.get(CHANNEL)
        if marks and self._loop is not None:
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._tell, marks)

    def _forget(self, _connection: Any, record: Any, _proxy: Any) -> None:
        """Before the next transaction, and not when the last one was heard of: several may watch."""
        record.info.pop(CHANNEL, None)

    def _tell(self, marks: dict[str, int]) -> None:
        for name, due_at in marks.items():
            self._wake(name, due_at)


def _engine_of(tx: Connection) -> Engine:
    return tx.engine
