"""Tables of statistics."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, text

from signalbox.infra.db.tables import BigId, Micros, calls

call_block = Table(
    "call_block",
    calls,
    Column("id", BigId, primary_key=True),
    Column("first_at", Micros, nullable=False),
    Column("last_at", Micros, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("failed_from", Integer),
    Column("failed_to", Integer),
    Column("content", LargeBinary, nullable=False),
    Index(None, "last_at", "calls"),
    Index(
        "ix_call_block_failed",
        "id",
        sqlite_where=text("failed_to IS NOT NULL"),
        postgresql_where=text("failed_to IS NOT NULL"),
    ),
    sqlite_autoincrement=True,  # else SQLite gives the id of a swept block again once the table is empty
)
"""Packed calls, see ``call_blocks.py``: when the first and the last of them came, how many they are, and the lowest and
the highest status from 400 among them; swept by age and number."""

call_minute = Table(
    "call_minute",
    calls,
    Column("minute", Micros, primary_key=True),
    Column("upstream", String, primary_key=True),
    Column("route", String, primary_key=True),
    Column("method", String, primary_key=True),
    Column("status", Integer, primary_key=True),
    Column("writer", BigInteger, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("micros", Micros, nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    Column("latency", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Sums of a minute, one row for each process (``writer``) that saw such calls: a process replaces its own row
with newer sums, so a repeated write changes nothing and no row is ever read to be added to."""

call_hour = Table(
    "call_hour",
    calls,
    Column("hour", Micros, primary_key=True),
    Column("upstream", String, primary_key=True),
    Column("route", String, primary_key=True),
    Column("method", String, primary_key=True),
    Column("status", Integer, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("micros", Micros, nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    Column("latency", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Sums of the minutes of an hour over all processes. Rows of an hour that is due are out of date: do not count."""

call_hour_due = Table(
    "call_hour_due",
    calls,
    Column("hour", Micros, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Hours into which minutes were written since they were last rolled up, if ever: a few rows."""
