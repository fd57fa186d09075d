"""One statement that is run thousands of times a second.

What SQLAlchemy does around a statement takes twice as long as SQLite does for a row: on SQLite such a statement goes to
the driver's cursor as it stands. On PostgreSQL, where a round trip takes longer than both, it goes the usual way.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import Executable


class Direct:
    """A statement of each dialect; ``sqlite_`` must have no values but those that are given, as the driver takes them.

    Raises:
        TypeError: a type of its parameters would have SQLAlchemy convert them.
    """

    def __init__(self, *, sqlite_: Executable, postgresql: Executable) -> None:
        compiled: Any = sqlite_.compile(dialect=sqlite.dialect())  # type: ignore[attr-defined]  # an Executable has it
        if compiled._bind_processors:  # noqa: SLF001 - the only place that knows
            msg = f"parameters are to be converted: {sorted(compiled._bind_processors)}"  # noqa: SLF001
            raise TypeError(msg)
        self._sql, self._names = str(compiled), tuple(compiled.positiontup)
        self._other = postgresql

    def first(self, tx: Connection, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """Run it; the first row that it returns, None without one.

        Raises:
            DBAPIError: as ``tx.execute`` would.
        """
        if tx.dialect.name != "sqlite":
            return tx.execute(self._other, values).first()
        cursor: Any = tx.connection.cursor()
        try:
            found: Sequence[Any] | None = cursor.execute(self._sql, [values[name] for name in self._names]).fetchone()
        except sqlite3.Error as error:
            raise DBAPIError.instance(self._sql, None, error, sqlite3.Error, dialect=tx.dialect) from error
        finally:
            cursor.close()
        return found
