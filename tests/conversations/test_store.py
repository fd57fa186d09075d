from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from signalbox.conversations import models, store
from signalbox.conversations.blocks import ROWS, Texts, encode
from signalbox.conversations.models import item_id
from signalbox.infra.context import Context
from tests.conversations.conftest import import_folder, write


async def test_imports_are_listed_newest_first(context: Context) -> None:
    made = [
        await context.db.write(store.add_import, source=name, actor="a", forced=False, state="queued", now=1)
        for name in "abc"
    ]
    found = await context.db.read(store.find_imports, before=made[2], limit=5)
    assert [each.source for each in found] == ["b", "a"]
    assert await context.db.read(store.find_import, 99) is None
    assert await context.db.read(store.current_import) == 0


async def test_uploads_are_kept_in_pieces(context: Context) -> None:
    for piece in (0, 1):
        await context.db.write(store.add_upload, 5, piece, b"x%d" % piece)
    assert await context.db.read(store.read_upload, 5, 1) == b"x1"
    assert [await context.db.write(store.delete_upload, 5, limit=1) for _ in range(3)] == [1, 1, 0]


async def test_names_and_arrays_stand_by_rank(context: Context, tmp_path: Path) -> None:
    done = await import_folder(context, write(tmp_path / "d"))
    assert await context.db.read(store.read_names, done.id, models.company) == ["Microsoft", "Zebra"]
    ranked = await context.db.read(store.read_ranked, done.id, models.company, [1])
    assert ranked[1].logo == "zebra.png"
    await context.db.write(store.add_piece, 99, "a", 1, b"b")
    await context.db.write(store.add_piece, 99, "a", 0, b"a")
    assert await context.db.read(store.read_arrays, 99) == {"a": b"ab"}
    assert await context.db.read(store.read_contents, done.id, []) == {}


async def test_contents_are_read_by_number_as_far_as_they_are_there(context: Context) -> None:
    def add(tx: Connection) -> None:
        store.add_blocks(tx, 7, [(0, block(ROWS, "a")), (ROWS, block(3, "b"))])

    await context.db.write(add)
    found = await context.db.read(store.read_contents, 7, [ROWS + 2, 0, 5, 9 * ROWS])
    assert {number: each.question for number, each in found.items()} == {ROWS + 2: "b2", 0: "a0", 5: "a5"}
    words = await context.db.read(store.read_words, 7, first=ROWS - 1, count=3)
    assert words == [(item_id(7, ROWS - 1), f"a{ROWS - 1}"), (item_id(7, ROWS), "b0"), (item_id(7, ROWS + 1), "b1")]


def block(rows: int, name: str) -> bytes:
    texts = [f"{name}{row}".encode() for row in range(rows)]
    lengths = np.array([len(each) for each in texts], dtype=np.int32)
    return encode(np.arange(rows, dtype=np.float64), [Texts(lengths, b"".join(texts)), None, None, None])
