"""The seam to the SQL database.

Work inside a transaction is a plain synchronous function of ``tx`` (a SQLAlchemy Core connection). The async
edge hands it over: ``await db.write(submit, ...)``. Such a function cannot await, so no transaction can be
held open across network I/O. ``write`` answers after COMMIT: what has returned is on disk.
"""

from collections.abc import Callable
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

from signalbox.core.errors import UnavailableError

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

Dialect = Literal["sqlite", "postgresql"]


class DatabaseUnavailableError(UnavailableError):
    """The database does not answer, is locked by another process, or has more work waiting than it may."""

    code = "database_unavailable"


class DatabaseDamagedError(UnavailableError):
    """A file of the database is no database, or not whole any more."""

    code = "database_damaged"


class CommitUnknownError(UnavailableError):
    """The connection broke during COMMIT: the change may or may not have been made."""

    code = "commit_unknown"


_AFTER_COMMIT = "signalbox.after_commit"


def after_commit(tx: Connection, call: Callable[[], None]) -> None:
    """Have ``call`` run once ``tx`` is committed, in the thread of the writer, before ``Database.write`` returns.

    It must be quick and not raise, and is dropped where the transaction or the function that asked for it fails. It is
    for hints only: nothing runs it when the process dies right after COMMIT.
    """
    after_commit_calls(tx).append(call)


def after_commit_calls(tx: Connection) -> list[Callable[[], None]]:
    """What is to be run after ``tx``; whoever runs transactions empties it before each."""
    calls: list[Callable[[], None]] = tx.info.setdefault(_AFTER_COMMIT, [])
    return calls


_SINGLE = "__signalbox_single__"


def single_statement(fn: F) -> F:
    """Say of a function of ``tx`` that it makes one statement and no more, which is a transaction by itself.

    PostgreSQL then needs one round trip for it instead of three, where it does not share its transaction with others.
    """
    setattr(fn, _SINGLE, True)
    return fn


def is_single_statement(fn: Callable[..., Any]) -> bool:
    """Whether ``single_statement`` was said of a function."""
    return getattr(fn, _SINGLE, False)


class Database(Protocol):
    """Runs functions of a transaction."""

    @property
    def dialect(self) -> Dialect:
        """Which SQL dialect the database speaks."""
        ...

    async def read(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``fn(tx, ...)`` in a read-only snapshot and return its value.

        Raises:
            DatabaseUnavailableError: the database is away or overloaded.
        """
        ...

    async def write(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``fn(tx, ...)`` in a transaction and return its value after COMMIT.

        An exception of ``fn`` undoes what it wrote, harms nobody else and is raised here. ``fn`` may be run a
        second time when another function in its batch fails, so it must have no effect but on ``tx``.

        Raises:
            DatabaseUnavailableError: the database is away or overloaded; nothing was written.
            CommitUnknownError: the connection broke during COMMIT.
        """
        ...

    async def stamp(self) -> object:
        """What is unlike before once anybody has committed a change, in whatever process; at most half a second old.

        Cheap, for those who poll: while it equals what it was before their last look, there is nothing new to see. It may
        differ without a change.

        Raises:
            DatabaseUnavailableError: the database is away or overloaded.
        """
        ...

    async def close(self) -> None:
        """Finish the writes that wait, then close every connection."""
        ...
