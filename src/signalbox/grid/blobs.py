"""Reading rows that hold packed data."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.exc import DBAPIError


def fetch_blobs(tx: Connection, query: Select[Any]) -> Sequence[Any]:
    """The rows of a query, as tuples of numbers, texts and ``bytes``.

    From PostgreSQL they come as bytes: as texts, as SQLAlchemy has them, they take twice as long.
    """
    if tx.dialect.name != "postgresql":
        return tx.execute(query).all()
    compiled = query.compile(dialect=tx.dialect, compile_kwargs={"render_postcompile": True})
    if not tx.in_transaction():
        tx.begin()
    driver: Any = tx.connection.driver_connection
    dbapi: Any = tx.dialect.loaded_dbapi
    try:
        with driver.cursor(binary=True) as cursor:
            rows: Sequence[Any] = cursor.execute(str(compiled), compiled.params).fetchall()
    except dbapi.Error as error:  # a raw cursor's; callers know the errors of other statements
        raise DBAPIError.instance(str(compiled), None, error, dbapi.Error, dialect=tx.dialect) from error
    return rows
