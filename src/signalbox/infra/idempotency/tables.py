"""The table of requests that came with a key."""

from sqlalchemy import Column, LargeBinary, SmallInteger, Table, Text

from signalbox.infra.db.tables import Micros, main

idempotency_key = Table(
    "idempotency_key",
    main,
    Column("caller", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("status", SmallInteger),  # none while the request is in flight
    Column("headers", Text),
    Column("body", LargeBinary),
    Column("created_at", Micros, nullable=False, index=True),
)
"""One row for each key of a caller and an operation, with the answer that was given; swept by age."""
