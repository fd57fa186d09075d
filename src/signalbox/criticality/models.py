"""The tables of criticality, and their rows as plain values. Times are microseconds UTC."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, Table, Text, text

from signalbox.criticality.schemas import Why
from signalbox.infra.db.tables import BigId, Micros, calls, main

_WATCHED = text("overdue_at IS NOT NULL AND silent_since IS NULL")
_SILENT = text("silent_since IS NOT NULL")
_RETIRED = text("retired_at IS NOT NULL")

signal = Table(
    "criticality_signal",
    main,
    Column("name", Text, primary_key=True),
    Column("last_revision", BigInteger, nullable=False),  # the newest number given: never given again
    Column("revision", BigInteger, nullable=False),  # the one that is current; 0 while none is
    Column("level", Integer),
    Column("changed_at", Micros),
    Column("received_at", Micros),
    Column("set_by", Text),
    Column("reason", Text),
    Column("held_level", Integer),  # until held_until, reports below this level do not become current
    Column("held_until", Micros),
)
"""One row for each signal: where it stands, and the last number given, which outlives all history."""

change = Table(
    "criticality_change",
    main,
    Column("signal", Text, primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("level", Integer, nullable=False),
    Column("changed_at", Micros, nullable=False),
    Column("received_at", Micros, nullable=False, index=True),
    Column("set_by", Text, nullable=False),
    Column("reason", Text),
    Column("why", Text),  # why it did not become current; None where it did
    CheckConstraint("why IN ('older', 'same_time', 'held')", name="why"),
)
"""Every report that was kept; swept by age, but never what is current."""

delivery = Table(
    "criticality_delivery",
    main,
    Column("app", Text, primary_key=True),
    Column("signal", Text, primary_key=True),
    Column("delivered", BigInteger, nullable=False),
    Column("delivered_at", Micros),
    Column("acknowledged", BigInteger, nullable=False),
    Column("acknowledged_at", Micros),
)
"""Which revision each app was last told of, and which it said it has. Written by claims, whose rows nobody else locks."""

consumer = Table(
    "criticality_consumer",
    main,
    Column("id", BigId, primary_key=True),
    Column("app", Text, nullable=False),
    Column("signal", Text, nullable=False),
    Column("period", Micros),  # how often it should ask at least; None: nobody minds
    Column("registered_at", Micros),
    Column("first_asked_at", Micros),
    Column("last_asked_at", Micros),
    Column("requests", BigInteger, nullable=False),
    Column("muted", Boolean, nullable=False),
    Column("retired_at", Micros),
    Column("overdue_at", Micros),  # when it will have been silent for too long; None: it is not watched
    Column("silent_since", Micros),  # when its outage was told of
    Index("uq_criticality_consumer_app_signal", "app", "signal", unique=True),
    Index("ix_criticality_consumer_overdue", "overdue_at", sqlite_where=_WATCHED, postgresql_where=_WATCHED),
    Index("ix_criticality_consumer_silent", "silent_since", sqlite_where=_SILENT, postgresql_where=_SILENT),
    Index("ix_criticality_consumer_retired", "id", sqlite_where=_RETIRED, postgresql_where=_RETIRED),
    sqlite_autoincrement=True,
)
"""Who asks, or is expected to."""

pulse = Table(
    "criticality_pulse",
    main,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("beat_at", Micros, nullable=False),  # when a process last said that it serves
    Column("up_since", Micros, nullable=False),  # since when there were no gaps between such beats
    CheckConstraint("id = 1", name="single"),
)
"""Whether consumers could ask at all: while nothing served, nobody was silent."""

ask = Table(
    "criticality_ask",
    calls,
    Column("minute", Micros, primary_key=True),
    Column("app", Text, primary_key=True),
    Column("signal", Text, primary_key=True),
    Column("writer", BigInteger, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Index("ix_criticality_ask_app_minute", "app", "minute"),
    sqlite_with_rowid=False,
)
"""Asks of a minute, one row for each process (``writer``), which replaces its own row with newer sums."""


@dataclass(frozen=True, slots=True)
class Current:
    """What a signal stands at."""

    signal: str
    revision: int
    level: int
    changed_at: int
    """When it changed, by the producer's clock."""
    received_at: int
    """When the hub heard of it."""
    set_by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class StoredSignal:
    """The row of a signal; ``current`` is None while no level was set."""

    name: str
    last_revision: int
    current: Current | None
    held_level: int | None
    held_until: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """A report as history keeps it."""

    signal: str
    revision: int
    level: int
    changed_at: int
    received_at: int
    set_by: str
    reason: str | None
    why: Why | None
    """Why it did not become current; None where it did."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer, with what it was told of."""

    id: int
    app: str
    signal: str
    period: int | None
    """How often it should ask at least; None: nobody minds."""
    registered_at: int | None
    first_asked_at: int | None
    last_asked_at: int | None
    requests: int
    muted: bool
    retired_at: int | None
    overdue_at: int | None
    silent_since: int | None
    delivered: int
    delivered_at: int | None
    acknowledged: int
    acknowledged_at: int | None


def to_current(row: Any) -> Current | None:
    """The level in a row of ``signal``; None while no level was set."""
    if row.revision == 0:
        return None
    return Current(row.name, row.revision, row.level, row.changed_at, row.received_at, row.set_by, row.reason)


def to_signal(row: Any) -> StoredSignal:
    """A row of ``signal``."""
    return StoredSignal(row.name, row.last_revision, to_current(row), row.held_level, row.held_until)
