"""Group commit: one transaction for everything that waits when the last commit ends.

There is no timer and no linger: a lone write commits at once, and under load the batch grows by itself,
because more callers arrive while a commit is under way.
"""

import asyncio
import logging
import os
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from signalbox.core.errors import SignalboxError
from signalbox.infra.db import CommitUnknownError, DatabaseUnavailableError, after_commit_calls

_log = logging.getLogger(__name__)

MAX_BATCH = 256
LOW_PRIORITY = 10
"""Niceness: a tenth of a busy core, which is several times what rows of statistics take."""

ChangeCount = Callable[[Connection], int]

# SQLite's OperationalError covers the caller's own mistakes too: wrong SQL, and writing in a read.
_MISTAKES = frozenset({sqlite3.SQLITE_ERROR})
_READ_MISTAKES = _MISTAKES | {sqlite3.SQLITE_READONLY}


@dataclass(slots=True)
class Write:
    """A function that waits for its transaction, and the caller who waits for its value."""

    fn: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    single: bool = False
    """Whether it is one statement, which commits itself where it is alone."""
    value: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class WriteQueue:
    """What waits to be written; shared by all writer threads of one database."""

    capacity: int = 10_000
    _queue: "queue.SimpleQueue[Write | None]" = field(default_factory=queue.SimpleQueue)

    def put(self, write: Write) -> None:
        """Add one write.

        Raises:
            DatabaseUnavailableError: ``capacity`` writes already wait.
        """
        if self._queue.qsize() >= self.capacity:
            msg = f"{self.capacity} writes already wait for the database"
            raise DatabaseUnavailableError(msg)
        self._queue.put(write)

    def stop(self) -> None:
        """Let one writer thread end once it has done all that was put before."""
        self._queue.put(None)

    def take(self) -> tuple[list[Write], bool]:
        """Wait for a write, then take all that wait; the flag tells that the thread is to end after them."""
        batch: list[Write] = []
        item = self._queue.get()
        try:
            while item is not None:
                batch.append(item)
                if len(batch) >= MAX_BATCH:
                    return batch, False
                item = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True


class Writer(threading.Thread):
    """A thread that owns one connection's writes.

    ``change_count`` counts the rows a connection has changed so far, where the driver can tell: a function
    that fails before it changed anything then costs its batch nothing. ``background`` writes are nobody's to wait for:
    on Linux, where threads have priorities, their thread lets all others go first.
    """

    def __init__(
        self, engine: Engine, waiting: WriteQueue, *, change_count: ChangeCount | None = None, background: bool = False
    ) -> None:
        super().__init__(name="signalbox-writer", daemon=True)
        self._engine = engine
        self._waiting = waiting
        self._change_count = change_count
        self._background = background

    def run(self) -> None:
        """Serve until the queue says stop."""
        if self._background and sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
        ended = False
        while not ended:
            batch, ended = self._waiting.take()
            batch = [write for write in batch if not write.future.cancelled()]
            if batch:
                self._commit(batch)
                _answer(batch)

    def _commit(self, batch: list[Write]) -> None:
        """All in one transaction; if that fails, each in its own, so that one bad member spoils nobody."""
        try:
            self._transact(batch)
        except _NotBegunError as error:
            _fail(batch, error.told)
        except CommitUnknownError as error:
            _fail(batch, error)
        except BaseException as error:  # noqa: BLE001 - whatever a function raised belongs to its caller
            if len(batch) == 1 and not _is_disconnect(error):
                _fail(batch, to_unavailable(error))
            else:
                self._commit_one_by_one(batch)

    def _commit_one_by_one(self, batch: list[Write]) -> None:
        for position, write in enumerate(batch):
            try:
                self._transact([write])
            except _NotBegunError as error:
                _fail(batch[position:], error.told)
                return
            except BaseException as error:  # noqa: BLE001 - as above
                _fail([write], to_unavailable(error))

    def _transact(self, batch: list[Write]) -> None:
        with ExitStack() as stack:
            single = len(batch) == 1 and batch[0].single
            try:
                tx = stack.enter_context(self._engine.connect())
                if single:
                    tx.execution_options(isolation_level="AUTOCOMMIT")
                transaction = tx.begin()  # said outright: COPY goes past SQLAlchemy, which would not see it
            except Exception as error:
                raise _NotBegunError(error) from error
            calls = after_commit_calls(tx)
            calls.clear()  # of a transaction before on this connection, which failed
            try:
                for write in batch:
                    self._run(tx, write, calls)
            except DBAPIError as error:
                if single and error.connection_invalidated:
                    raise _unknown() from error
                raise
            try:
                transaction.commit()
            except DBAPIError as error:
                transaction.rollback()  # else a COMMIT that was refused leaves the pooled connection in its transaction
                if not error.connection_invalidated:
                    raise
                raise _unknown() from error
            for call in calls:
                _call(call)

    def _run(self, tx: Connection, write: Write, calls: list[Callable[[], None]]) -> None:
        write.value = write.error = None
        before = self._change_count(tx) if self._change_count else 0
        called_before = len(calls)
        try:
            write.value = write.fn(tx)
        except SignalboxError as error:
            if self._change_count is None or self._change_count(tx) != before:
                raise
            write.error = error
            del calls[called_before:]


class _NotBegunError(Exception):
    """There is no connection, or another process holds the lock: no member of the batch is to blame, none has run."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.told = _unavailable(error) if isinstance(error, DBAPIError) else error


def _unknown() -> CommitUnknownError:
    return CommitUnknownError(
        "the connection to the database broke during COMMIT; the change may or may not have been made"
    )


def _call(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:  # noqa: BLE001 - what is committed stays so, and its callers are told
        _log.exception("what was to follow a transaction failed")


def to_unavailable(error: BaseException, *, reading: bool = False) -> BaseException:
    """What a caller is told: an absent or locked database is DatabaseUnavailableError, all else stays itself."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return error
    mistakes = _READ_MISTAKES if reading else _MISTAKES
    if getattr(error.orig, "sqlite_errorcode", None) in mistakes:
        return error
    return _unavailable(error)


def _unavailable(error: DBAPIError) -> DatabaseUnavailableError:
    reason = str(error.orig).strip().partition("\n")[0]
    unavailable = DatabaseUnavailableError(f"the database does not answer: {reason}")
    unavailable.__cause__ = error
    return unavailable


def _is_disconnect(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _fail(batch: Sequence[Write], error: BaseException) -> None:
    for write in batch:
        write.value, write.error = None, error


def _answer(batch: Sequence[Write]) -> None:
    """Wake the callers; one hand-over for each event loop, not one for each write."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Write]] = {}
    for write in batch:
        by_loop.setdefault(write.loop, []).append(write)
    for loop, writes in by_loop.items():
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, writes)


def _resolve(writes: Sequence[Write]) -> None:
    for write in writes:
        if write.future.done():
            continue
        if write.error is None:
            write.future.set_result(write.value)
        else:
            write.future.set_exception(write.error)
