"""The tables of conversations, and the row of an import as a plain value. Times are microseconds UTC.

Each import is a version of the data set; what it brought carries its number. Items are numbered in the order of the
files, and ``import << 32 | number`` is their id, so that those of one import are a range. All searching is done by arrays
in ``conversation_index`` (see ``arrays.py``) but that of words, which the databases do: SQLite in an FTS5 table,
PostgreSQL in a table with a ``tsvector``, both called ``conversation_text`` and known to SQL alone.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from signalbox.conversations.schemas import ImportState
from signalbox.infra.db.tables import BigId, Micros, main

_LIVE = text("state = 'live'")

imports = Table(
    "conversation_import",
    main,
    Column("id", BigId, primary_key=True),
    Column("state", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("fingerprint", Text),  # of the files; the same ones again change nothing
    Column("rows_total", BigInteger, nullable=False),
    Column("rows_done", BigInteger, nullable=False),
    Column("texts_done", BigInteger, nullable=False),  # how many items, from number 0 on, have their words taken up
    Column("report", Text),  # JSON
    Column("error", Text),
    Column("swept", Boolean, nullable=False),  # what it brought is deleted
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    Column("live_at", Micros),
    CheckConstraint("state IN ('queued', 'loading', 'live', 'replaced', 'unchanged', 'failed')", name="state"),
    Index("uq_conversation_import_live", "state", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
    sqlite_autoincrement=True,
)
"""Each import. The one that is ``live`` is what readers see: there is one at most."""

upload = Table(
    "conversation_upload",
    main,
    Column("import_id", BigInteger, primary_key=True, autoincrement=False),
    Column("piece", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)
"""Zip files that wait for their import, in pieces: the worker may be on another machine."""

index = Table(
    "conversation_index",
    main,
    Column("import_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("piece", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)
"""The arrays of an import, in pieces."""

company = Table(
    "conversation_company",
    main,
    Column("import_id", BigInteger, primary_key=True, autoincrement=False),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("logo", Text),
)

tag = Table(
    "conversation_tag",
    main,
    Column("import_id", BigInteger, primary_key=True, autoincrement=False),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
)

transcript = Table(
    "conversation_transcript",
    main,
    Column("import_id", BigInteger, primary_key=True, autoincrement=False),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("title", Text),
    Column("length", Text),  # as the data has it: nobody says in which unit
    Column("published", Text),  # as the data has it
)

block = Table(
    "conversation_block",
    main,
    Column("id", BigId, primary_key=True, autoincrement=False),  # of the first item
    Column("data", LargeBinary, nullable=False),  # see blocks.py
)
"""What stands in conversations and monologues, ``blocks.ROWS`` of them each."""

NUMBER_BITS = 32


def item_id(import_id: int, number: int) -> int:
    """The id of an item."""
    return import_id << NUMBER_BITS | number


@dataclass(frozen=True, slots=True)
class StoredImport:
    """The row of an import."""

    id: int
    state: ImportState
    source: str
    actor: str
    forced: bool
    fingerprint: str | None
    rows_total: int
    rows_done: int
    texts_done: int
    report: str | None
    error: str | None
    swept: bool
    created_at: int
    updated_at: int
    live_at: int | None


def to_import(row: Any) -> StoredImport:
    """A row of ``imports``."""
    return StoredImport(*row)
