"""The words of items, so that they can be searched for: FTS5 on SQLite, tsvector on PostgreSQL.

Of a word both keep in which items it stands, and not where in them: that is all a search asks for.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, column, table, text
from sqlalchemy.exc import OperationalError

from signalbox.conversations.models import NUMBER_BITS, item_id
from signalbox.infra.db.bulk import insert_rows

Words = Sequence[tuple[int, str]]
"""Ids of items, and what is said in them."""

LONGEST: Final = 200_000
"""Characters of a text whose words PostgreSQL takes up; a tsvector holds 1 MB at most."""

_WORD: Final = re.compile(r"[^\W_]+")

_TEXT: Final = table("conversation_text", column("rowid"), column("words"))
_TAKE_UP: Final = text(
    "INSERT INTO conversation_text SELECT id, to_tsvector('simple', words) "
    "FROM unnest(CAST(:ids AS bigint[]), CAST(:words AS text[])) AS given (id, words)"
)
_GIVE_UP: Final = text("DELETE FROM conversation_text WHERE id = ANY(CAST(:ids AS bigint[]))")
_MERGE: Final = "INSERT INTO conversation_text (conversation_text, rank) VALUES ('merge', ?)"
_NOTHING: Final = 2
"""Rows that a merge changes of which there was nothing to do stay below that (https://sqlite.org/fts5.html#the_merge_command)."""
_FIND: Final = {
    "sqlite": text(
        "SELECT rowid FROM conversation_text WHERE conversation_text MATCH :words AND rowid BETWEEN :low AND :high"
    ),
    "postgresql": text(
        "SELECT id FROM conversation_text WHERE words @@ plainto_tsquery('simple', :words) AND id BETWEEN :low AND :high"
    ),
}


def cut(text: str) -> list[str]:
    """The words of a text, in order and in lower case: letters and digits that stand together."""
    return [word.lower() for word in _WORD.findall(text)]


def take_up(tx: Connection, words: Words) -> None:
    """Make words findable."""
    if tx.dialect.name == "sqlite":
        insert_rows(tx, _TEXT, ("rowid", "words"), words)
    elif words:
        # PostgreSQL's parser would keep AI/ML, example.com and 3.5 whole, and lower case by the locale of the database.
        texts = [" ".join(cut(said[:LONGEST])) for _, said in words]
        tx.execute(_TAKE_UP, {"ids": [each for each, _ in words], "words": texts})


def give_up(tx: Connection, words: Words) -> None:
    """Take back what ``take_up`` was given."""
    if tx.dialect.name == "sqlite":
        rows = [("delete", each, said) for each, said in words]
        insert_rows(tx, _TEXT, ("conversation_text", "rowid", "words"), rows)
    elif words:
        tx.execute(_GIVE_UP, {"ids": [each for each, _ in words]})


def merge(tx: Connection, pages: int) -> bool:
    """Bring words that were taken up in different transactions together, about so many pages of them.

    Searches need not wait for that, and are quicker after it. Returns whether there was anything to do.
    """
    if tx.dialect.name != "sqlite":
        return False
    driver: Any = tx.connection.driver_connection
    before = driver.total_changes
    tx.exec_driver_sql(_MERGE, (pages,))
    return int(driver.total_changes - before) >= _NOTHING


def find(tx: Connection, number: int, words: Iterable[str]) -> list[int]:
    """Numbers of the items of an import that have all of some words, which are as ``cut`` gives them."""
    joined = " ".join(words if tx.dialect.name == "postgresql" else (f'"{word}"' for word in words))
    low = item_id(number, 0)
    bounds = {"words": joined, "low": low, "high": low + (1 << NUMBER_BITS) - 1}
    try:
        return [each - low for each in tx.execute(_FIND[tx.dialect.name], bounds).scalars()]
    except OperationalError as error:
        if "phrase queries are not supported" not in str(error.orig):
            raise
        return []  # a letter that is newer than SQLite's table of letters, which parts words there
