"""Threads around an engine: what the SQLite and the PostgreSQL version share."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from signalbox.infra.db import DatabaseUnavailableError, Dialect, is_single_statement
from signalbox.infra.db.writer import ChangeCount, Write, WriteQueue, Writer, to_unavailable

P = ParamSpec("P")
R = TypeVar("R")

MAX_WAITING_READS = 1_000
MAX_READ_WAIT_S = 5
"""So that a silent server is felt once: each thread's attempt to connect takes seconds."""


class Stamp(Protocol):
    """How a dialect tells that something was committed."""

    async def get(self, db: "SqlDatabase") -> object:
        """See ``Database.stamp``."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class SqlDatabase:
    """A ``Database`` of two engines, one for reading and one for writing, each with threads of its own."""

    def __init__(
        self,
        *,
        dialect: Dialect,
        reader: Engine,
        writer: Engine,
        readers: int,
        writers: int,
        change_count: ChangeCount | None = None,
        background: bool = False,
        stamp: Stamp,
    ) -> None:
        self.dialect: Dialect = dialect
        self._reader, self._writer, self._stamp = reader, writer, stamp
        self._reads_waiting = 0
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="signalbox-reader")
        self._queue = WriteQueue()
        self._writers = [
            Writer(writer, self._queue, change_count=change_count, background=background) for _ in range(writers)
        ]
        self._closed = False
        for thread in self._writers:
            thread.start()

    async def read(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``fn`` in a read-only snapshot; see ``Database.read``."""
        if self._reads_waiting >= MAX_WAITING_READS or self._closed:
            msg = "the database is closing" if self._closed else f"{MAX_WAITING_READS} reads wait for the database"
            raise DatabaseUnavailableError(msg)
        self._reads_waiting += 1
        try:
            call, queued, single = _bind(fn, *args, **kwargs), time.monotonic(), self._is_single(fn)
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, call, queued, single)
        finally:
            self._reads_waiting -= 1

    async def write(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``fn`` in a grouped transaction; see ``Database.write``."""
        if self._closed:
            msg = "the database is closing"
            raise DatabaseUnavailableError(msg)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._queue.put(Write(_bind(fn, *args, **kwargs), loop, future, single=self._is_single(fn)))
        return await future

    async def stamp(self) -> object:
        """What is unlike before once anybody has committed a change; see ``Database.stamp``."""
        return await self._stamp.get(self)

    async def close(self) -> None:
        """Finish the writes that wait, then close every connection."""
        if self._closed:
            return
        self._closed = True
        for _ in self._writers:
            self._queue.stop()
        for thread in self._writers:
            await asyncio.to_thread(thread.join)
        await asyncio.to_thread(self._pool.shutdown)
        self._stamp.close()
        self._reader.dispose()
        self._writer.dispose()

    def _is_single(self, fn: Callable[..., object]) -> bool:
        """Whether it is worth while to spare the statement its transaction: SQLite has no round trips."""
        return self.dialect == "postgresql" and is_single_statement(fn)

    def _read(self, fn: Callable[[Connection], R], queued: float, single: bool) -> R:  # noqa: FBT001 - for the executor
        if time.monotonic() - queued > MAX_READ_WAIT_S:
            msg = f"no thread was free for a read within {MAX_READ_WAIT_S} s"
            raise DatabaseUnavailableError(msg)
        try:
            try:
                return self._read_once(fn, single=single)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                return self._read_once(fn, single=single)
        except DBAPIError as error:
            raise to_unavailable(error, reading=True) from error

    def _read_once(self, fn: Callable[[Connection], R], *, single: bool) -> R:
        with self._reader.connect() as tx:
            return fn(tx.execution_options(isolation_level="AUTOCOMMIT") if single else tx)


def _bind(fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> Callable[[Connection], R]:
    def bound(tx: Connection) -> R:
        try:
            return fn(tx, *args, **kwargs)
        except StopIteration as error:  # no future takes one: whoever awaits it would wait for ever
            msg = f"{fn!r} raised StopIteration"
            raise RuntimeError(msg) from error

    return bound
