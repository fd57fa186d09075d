"""The tables of limits that are counted in the database."""

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from signalbox.infra.db.tables import Micros, main

permit_log = Table(
    "permit_log",
    main,
    Column("id", LargeBinary, primary_key=True),  # digest of name and span: names may be long, and of any characters
    Column("name", LargeBinary, nullable=False),  # UTF-8; not Text, which on PostgreSQL takes no NUL
    Column("span", Micros, nullable=False),
    Column("permits", LargeBinary, nullable=False),  # see log.py
    Column("latest", Micros, nullable=False),  # the latest moment that was seen here: time does not run back
    Column("ends_at", Micros, nullable=False),  # when none of the permits counts any more
    Index("ix_permit_log_span", "span"),
    Index("ix_permit_log_ends_at", "ends_at"),
)
"""One row for each name and length of window; those whose permits are over are swept."""

budget_host = Table(
    "budget_host",
    main,
    Column("host", Text, primary_key=True),
    Column("paused_until", Micros),
    Column("polls_asked_at", Micros),  # when a poll last asked for permits
    Column("poll_gap", Integer, nullable=False),  # milliseconds between polls of late
)
"""What is known of a third-party host besides the permits: until when it is paused, and how often it is polled."""
