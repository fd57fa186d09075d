"""Tables of statistics."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, text

from signalbox.infra.db.tables import BigId, Micros, calls

call = Table(
    "call",
    calls,
    Column("id", BigId, primary_key=True),
    Column("created_at", Micros, nullable=False),
    Column("path", String, nullable=False),
    Column("route", String, nullable=False),
    Column("upstream", String, nullable=False),
    Column("method", String, nullable=False),
    Column("status", Integer, nullable=False),
    Column("micros", Micros, nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    Column("client", String, nullable=False),
    Column("app", String),
    Column("request_id", String, nullable=False),
    Index(None, "created_at"),
    Index(
        "ix_call_failed",
        "id",
        sqlite_where=text("status >= 400"),
        postgresql_where=text("status >= 400"),
    ),
)
"""One row for each call; swept by age and number."""

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
