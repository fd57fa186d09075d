"""Statements of hot paths: compiled once and, on SQLite, handed to the driver itself.

There a row takes some 20 us, and SQLAlchemy's way to it three to four times as long. On PostgreSQL the round trip is
what takes time, and SQLAlchemy is what notices a connection that broke: it runs the statement as ever.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ClauseElement

from signalbox.infra.db import Dialect

_SQLITE = sqlite.dialect()


class Prepared:
    """One statement, the same or one of its own for each dialect.

    Values and rows pass as the driver has them, so it takes plain texts, numbers and bytes only.

    Raises:
        TypeError: a column's type would have a value converted, as JSON is.
    """

    def __init__(self, statements: Executable | Mapping[Dialect, Executable]) -> None:
        by_dialect: Mapping[Any, Any] = statements if isinstance(statements, Mapping) else _for_all(statements)
        self._others = by_dialect
        self._sql, self._names, self._own = _compile(by_dialect["sqlite"])

    def run(self, tx: Connection, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Run it; the rows that it returns.

        Raises:
            DBAPIError: as other statements.
        """
        dialect = tx.dialect.name
        if dialect != "sqlite":
            found = tx.execute(self._others[dialect], values)
            return found.all() if found.returns_rows else ()
        if not tx.in_transaction():  # a read's begins with its first statement
            tx.begin()
        driver: Any = tx.connection.driver_connection
        given = {**self._own, **values} if self._own else values
        row = tuple([given[name] for name in self._names])
        dbapi: Any = tx.dialect.loaded_dbapi
        try:
            rows: Sequence[Sequence[Any]] = driver.execute(self._sql, row).fetchall()
        except dbapi.Error as error:
            raise DBAPIError.instance(self._sql, row, error, dbapi.Error, dialect=tx.dialect) from error
        return rows


def _for_all(statement: Executable) -> dict[str, Executable]:
    return {"sqlite": statement, "postgresql": statement}


def _compile(statement: ClauseElement) -> tuple[str, Sequence[str], Mapping[str, Any]]:
    """The text, the names of its values in their order, and the values that the statement brings itself."""
    made: Any = statement.compile(dialect=_SQLITE)
    names: Sequence[str] = made.positiontup or ()
    for name in names:
        kind = made.binds[name].type.dialect_impl(_SQLITE)
        if kind.bind_processor(_SQLITE) is not None:
            msg = f"{name} of {made} is a {kind!r}, whose values are converted on their way"
            raise TypeError(msg)
    own = {name: made.binds[name].effective_value for name in names if not made.binds[name].required}
    return str(made), names, own
