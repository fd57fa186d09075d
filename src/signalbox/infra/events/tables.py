"""The table of events, and its rows as plain values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column, Index, Table, Text, text

from signalbox.core.errors import InvalidError
from signalbox.infra.db.tables import BigId, Micros, main

Severity = Literal["info", "warning", "error"]

_TOPIC = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_LONGEST_TOPIC = 100
_LONGEST_KEY = 300

_NEW = text("taken_at IS NULL")

event = Table(
    "event",
    main,
    Column("id", BigId, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("dedup_key", Text, unique=True),
    Column(
        "data", Text, nullable=False
    ),  # not Json: PostgreSQL's refuses strings with NUL, and nothing is sought in it
    Column("created_at", Micros, nullable=False, index=True),
    Column("taken_at", Micros),  # when it was handed to the subscribers
    Index(None, "topic", "id"),
    Index("ix_event_new", "id", sqlite_where=_NEW, postgresql_where=_NEW),
    sqlite_autoincrement=True,  # else SQLite gives the id of a swept event again once the table is empty
)
"""The outbox: one row for each event; swept by age."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Raises:
        InvalidError: topic or ``dedup_key`` are not of the form below.
    """

    topic: str
    """Feature and what happened, such as ``gateway.upstream_down``; lower case, at most 100 characters."""
    data: Mapping[str, Any]
    """What subscribers are told; JSON-safe, without secrets."""
    severity: Severity = "info"
    dedup_key: str | None = None
    """Of events with the same key only the first is kept; 1 to 300 characters, none of them NUL."""

    def __post_init__(self) -> None:
        if len(self.topic) > _LONGEST_TOPIC or _TOPIC.fullmatch(self.topic) is None:
            msg = (
                f"{self.topic!r} is no topic; write words in lower case with dots between, as in gateway.upstream_down"
            )
            raise InvalidError(msg)
        key = self.dedup_key
        if key is not None and ("\0" in key or not 0 < len(key) <= _LONGEST_KEY):
            msg = f"a dedup_key has 1 to {_LONGEST_KEY} characters, none of them NUL"
            raise InvalidError(msg)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the outbox holds it."""

    id: int
    """Increasing, never given twice; on PostgreSQL with gaps, and not in the order of commits."""
    topic: str
    severity: Severity
    dedup_key: str | None
    data: dict[str, Any]
    created_at: int
    """Microseconds UTC."""
