"""Many rows in few statements.

A row-by-row ``executemany`` hands the interpreter lock back and forth once for each row; beside a busy event
loop every hand-over waits for the switch interval (5 ms). One statement for hundreds of rows asks once.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, TableClause
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

SQLITE_PARAMETERS = 4_096
"""Bound values in one statement at most; SQLite allows 32,766. Twice as many take a tenth less time for each row, and
keep the interpreter from others for twice as long."""


def insert_rows(tx: Connection, table: TableClause, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows given as sequences in the order of ``columns``; no defaults of Python's side are applied."""
    if not rows:
        return
    if tx.dialect.name == "postgresql":
        _copy(tx, table, columns, rows)
        return
    start = 0
    while start < len(rows):
        size = _statement_size(len(rows) - start, most=SQLITE_PARAMETERS // len(columns))
        _insert_values(tx, table, columns, rows[start : start + size])
        start += size


def _statement_size(rows: int, *, most: int) -> int:
    """How many of so many rows the next statement takes: a power of two.

    Few texts of statements stay prepared then. One for each number of rows would fill the driver's memory of statements
    with hundreds of them, up to half a megabyte each, and take as long to prepare as to run.
    """
    return 1 << (max(1, min(rows, most)).bit_length() - 1)


def _insert_values(tx: Connection, table: TableClause, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    names = ", ".join(f'"{column}"' for column in columns)
    group = "(" + ", ".join("?" * len(columns)) + ")"
    sql = f'INSERT INTO "{table.name}" ({names}) VALUES {", ".join([group] * len(rows))}'  # noqa: S608 - our names
    tx.exec_driver_sql(sql, tuple(itertools.chain.from_iterable(rows)))


def _copy(tx: Connection, table: TableClause, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    names = ", ".join(f'"{column}"' for column in columns)
    sql = f'COPY "{table.name}" ({names}) FROM STDIN'
    dbapi: Any = tx.dialect.loaded_dbapi
    cursor: Any = tx.connection.cursor()
    try:
        with cursor, cursor.copy(sql) as copy:
            for row in rows:
                copy.write_row(row)
    except dbapi.Error as error:  # a raw cursor's; callers know the errors of other statements
        raise DBAPIError.instance(sql, None, error, dbapi.Error, dialect=tx.dialect) from error


def upsert_rows(tx: Connection, table: Table, *, keys: Sequence[str], rows: list[dict[str, Any]]) -> None:
    """Insert rows; where a row with the same ``keys`` stands already, its other columns are replaced."""
    if not rows:
        return
    dialect: Any = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    replaced = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    tx.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=replaced), rows)
