"""All queries of conversations but those of words: imports, and what they brought."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, update

from signalbox.conversations import words
from signalbox.conversations.blocks import ROWS, Block, Content
from signalbox.conversations.errors import ImportEndedError, ImportNotFoundError
from signalbox.conversations.models import (
    NUMBER_BITS,
    StoredImport,
    block,
    company,
    imports,
    index,
    item_id,
    tag,
    to_import,
    transcript,
    upload,
)
from signalbox.conversations.schemas import ImportState
from signalbox.infra.db.bulk import insert_rows

_i = imports.c

PIECE: Final = 1024**2
"""Bytes in one row of what is kept in pieces."""

_CURRENT = select(_i.id).where(_i.state == "live")
_FIND = select(imports).where(_i.id == bindparam("number"))
_PROGRESS = update(imports).where(_i.id == bindparam("number"))
_PIECES = select(index.c.name, index.c.data).where(index.c.import_id == bindparam("number"))
_UPLOADED = select(upload.c.data).where(upload.c.import_id == bindparam("number"), upload.c.piece == bindparam("piece"))
_BLOCKS = select(block).where(block.c.id.in_(bindparam("ids", expanding=True)))
_SOME_BLOCKS = select(block).where(block.c.id.between(bindparam("low"), bindparam("high"))).order_by(block.c.id)


# -- imports ----------------------------------------------------------------------------------------------------------


def add_import(tx: Connection, *, source: str, actor: str, forced: bool, state: ImportState, now: int) -> int:
    """A new import; its number."""
    row = {"state": state, "source": source, "actor": actor, "forced": forced, "created_at": now, "updated_at": now}
    made = insert(imports).values(**row, swept=False, rows_total=0, rows_done=0, texts_done=0).returning(_i.id)
    return int(tx.execute(made).scalar_one())


def find_import(tx: Connection, number: int) -> StoredImport | None:
    """An import; None where there is no such one."""
    row = tx.execute(_FIND, {"number": number}).first()
    return None if row is None else to_import(row)


def find_imports(tx: Connection, *, before: int | None, limit: int) -> list[StoredImport]:
    """Imports, newest first."""
    query = select(imports).order_by(_i.id.desc()).limit(limit)
    return [to_import(row) for row in tx.execute(query if before is None else query.where(_i.id < before))]


def current_import(tx: Connection) -> int:
    """The number of the import that readers see; 0 while there is none."""
    return tx.execute(_CURRENT).scalar() or 0


def change_import(tx: Connection, number: int, *, now: int, **values: Any) -> None:
    """Write down how far an import is."""
    tx.execute(_PROGRESS.values(**values, updated_at=now), {"number": number})


def change_loading(tx: Connection, number: int, *, now: int, **values: Any) -> None:
    """Write down how far an import is that must not have ended meanwhile; without values only that it is alive.

    Raises:
        ImportNotFoundError, ImportEndedError: it is not being loaded, or is no more.
    """
    changed = update(imports).where(_i.id == number, _i.state == "loading").values(**values, updated_at=now)
    if tx.execute(changed).rowcount:
        return
    found = find_import(tx, number)
    if found is None:
        raise ImportNotFoundError(number)
    msg = f"import {number} is {found.state}" + (f": {found.error}" if found.error else "")
    raise ImportEndedError(msg)


def end_import(tx: Connection, number: int, *, error: str, now: int) -> bool:
    """Write down that nothing comes of an import; False where it has ended already."""
    open_ = _i.state.in_(["queued", "loading"])
    failed = update(imports).where(_i.id == number, open_).values(state="failed", error=error, updated_at=now)
    return tx.execute(failed).rowcount > 0


def make_live(tx: Connection, number: int, *, now: int) -> None:
    """Let readers see an import instead of the one before.

    Raises:
        ImportNotFoundError, ImportEndedError: it is not being loaded, or is no more.
    """
    tx.execute(update(imports).where(_i.state == "live").values(state="replaced", updated_at=now))
    change_loading(tx, number, state="live", live_at=now, now=now)


def find_leftovers(tx: Connection, *, replaced_before: int, untouched_since: int) -> list[StoredImport]:
    """Imports whose rows nobody needs any more: replaced or failed, or untouched for long before they ended."""
    old = (_i.state.in_(["replaced", "failed", "unchanged"])) & (_i.updated_at < replaced_before)
    stuck = (_i.state.in_(["queued", "loading"])) & (_i.updated_at < untouched_since)
    return [to_import(row) for row in tx.execute(select(imports).where(~_i.swept, old | stuck).order_by(_i.id))]


def next_unread(tx: Connection, *, locked: bool = False) -> StoredImport | None:
    """The live import, if words of it are still to be taken up; ``locked`` until the transaction ends."""
    query = select(imports).where(_i.state == "live", _i.texts_done < _i.rows_total)
    row = tx.execute(query.with_for_update() if locked else query).first()
    return None if row is None else to_import(row)


def commits_of_others(tx: Connection) -> int:
    """A number that is another once somebody else has committed to SQLite's file; 0 where nobody waits for a lock."""
    if tx.dialect.name != "sqlite":
        return 0
    return int(tx.exec_driver_sql("PRAGMA data_version").scalar_one())


# -- what an import brings --------------------------------------------------------------------------------------------


def add_blocks(tx: Connection, number: int, blocks: Sequence[tuple[int, bytes]]) -> None:
    """Insert blocks, each with the number of its first item."""
    insert_rows(tx, block, ("id", "data"), [(item_id(number, first), data) for first, data in blocks])


def add_named(tx: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert companies, tags or transcripts."""
    insert_rows(tx, table, ("import_id", "rank", *columns), rows)


def add_piece(tx: Connection, number: int, name: str, piece: int, data: bytes) -> None:
    """Insert a piece of an array."""
    tx.execute(insert(index).values(import_id=number, name=name, piece=piece, data=data))


def read_arrays(tx: Connection, number: int) -> dict[str, bytes]:
    """The contents of all arrays of an import, by name."""
    found: dict[str, list[bytes]] = {}
    for name, data in tx.execute(_PIECES.order_by(index.c.name, index.c.piece), {"number": number}):
        found.setdefault(name, []).append(data)
    return {name: b"".join(pieces) for name, pieces in found.items()}


def read_names(tx: Connection, number: int, table: Table) -> list[str]:
    """Names of companies or tags, by rank."""
    query = select(table.c.name).where(table.c.import_id == number).order_by(table.c.rank)
    return list(tx.execute(query).scalars())


def read_ranked(tx: Connection, number: int, table: Table, ranks: Sequence[int]) -> dict[int, Any]:
    """Rows of companies or transcripts, by rank; few at a time."""
    query = select(table).where(table.c.import_id == number, table.c.rank.in_(ranks))
    return {row.rank: row for row in tx.execute(query)}


def read_contents(tx: Connection, number: int, items: Sequence[int]) -> dict[int, Content]:
    """What stands in items, by their numbers, as far as it is there; few at a time."""
    wanted = sorted({item_id(number, each - each % ROWS) for each in items})
    found = {row.id: Block(row.data) for row in tx.execute(_BLOCKS, {"ids": wanted})} if wanted else {}
    ids = {each: item_id(number, each - each % ROWS) for each in items}
    return {each: found[ids[each]].content(each % ROWS) for each in items if ids[each] in found}


def read_words(tx: Connection, number: int, *, first: int, count: int) -> list[tuple[int, str]]:
    """Ids and words of so many items from a number on; those without words are left out."""
    low, high = _range(number, first, count)
    rows = tx.execute(_SOME_BLOCKS, {"low": low - first % ROWS, "high": high})
    return [
        (each, said)
        for begin, data in rows
        for each, said in enumerate(Block(data).words(), begin)
        if said and low <= each <= high
    ]


def add_upload(tx: Connection, number: int, piece: int, data: bytes) -> None:
    """Insert a piece of a zip file."""
    tx.execute(insert(upload).values(import_id=number, piece=piece, data=data))


def read_upload(tx: Connection, number: int, piece: int) -> bytes | None:
    """A piece of a zip file; None behind the last."""
    found: bytes | None = tx.execute(_UPLOADED, {"number": number, "piece": piece}).scalar()
    return found


def delete_upload(tx: Connection, number: int, *, limit: int) -> int:
    """Delete some pieces of a zip file; how many, 0 once none are left."""
    some = select(upload.c.piece).where(upload.c.import_id == number).limit(limit)
    return tx.execute(delete(upload).where(upload.c.import_id == number, upload.c.piece.in_(some))).rowcount


# -- what nobody needs any more ---------------------------------------------------------------------------------------


def sweep_import(tx: Connection, of: StoredImport, *, limit: int, keep_upload: bool = False) -> int:
    """Delete some of what an import brought; how much that was, 0 once nothing is left."""
    newest = tx.execute(select(func.max(block.c.id)).where(block.c.id.between(*_range(of.id)))).scalar()
    if newest is not None:
        return _sweep_blocks(tx, of, newest - item_id(of.id, 0), limit)
    for table in (*(() if keep_upload else (upload,)), index, company, tag, transcript):
        keys = list(table.primary_key)
        some = select(*keys).where(table.c.import_id == of.id).limit(8 if table in {upload, index} else limit)
        rows = [dict(row._mapping) for row in tx.execute(some)]  # noqa: SLF001 - a public attribute with an underscore
        if rows:
            _delete_rows(tx, table, rows)
            return len(rows)
    return 0


def _sweep_blocks(tx: Connection, of: StoredImport, newest: int, limit: int) -> int:
    """The last ones first, so that what is left goes on from number 0; ``newest`` is where the last block begins."""
    first = max(0, newest - max(0, limit // ROWS - 1) * ROWS)
    if of.texts_done > first:
        words.give_up(tx, read_words(tx, of.id, first=first, count=of.texts_done - first))
        tx.execute(_PROGRESS.values(texts_done=first), {"number": of.id})
    return tx.execute(delete(block).where(block.c.id.between(item_id(of.id, first), item_id(of.id, newest)))).rowcount


def _range(number: int, first: int = 0, count: int = 1 << NUMBER_BITS) -> tuple[int, int]:
    low = item_id(number, first)
    return low, low + count - 1


def _delete_rows(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    keys = list(table.primary_key)
    statement = delete(table).where(*(column == bindparam(f"b_{column.name}") for column in keys))
    tx.execute(statement, [{f"b_{name}": value for name, value in row.items()} for row in rows])
