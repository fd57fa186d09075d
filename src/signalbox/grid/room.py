"""How much may be kept of what people add."""

from typing import Final

from sqlalchemy import Connection, Table, func, select

from signalbox.grid.errors import TooManyKeptError

CLASS: Final = 0x67726964
"""First half of the number of PostgreSQL's advisory lock; the second is of the table."""


def check_room(tx: Connection, table: Table, *, limit: int, setting: str) -> None:
    """Refuse a row more than ``limit``. Who adds another at the same time waits until ``tx`` ends, and is counted then.

    Raises:
        TooManyKeptError: there are as many already.
    """
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (CLASS, table.name))
    if tx.execute(select(func.count()).select_from(table)).scalar_one() >= limit:
        msg = f"there are {limit} already, as many as {setting} allows"
        raise TooManyKeptError(msg)
