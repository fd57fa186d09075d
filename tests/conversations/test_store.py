from pathlib import Path

from signalbox.conversations import models, store
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


async def test_words_are_found_whole_and_in_any_case(context: Context, tmp_path: Path) -> None:
    done = await import_folder(context, write(tmp_path / "d"))
    for words, expected in ((["drop", "students"], [4]), (["student"], []), (["many"], [2]), (["cora"], [])):
        assert await context.db.read(store.find_words, done.id, words) == expected
    assert await context.db.read(store.find_words, done.id + 1, ["many"]) == []


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
    assert await context.db.read(store.read_items, []) == {}
