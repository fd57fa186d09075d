"""Imports: whole, or not there at all."""

import json
from pathlib import Path

import pytest

from signalbox.conversations import importing, store, words
from signalbox.conversations.dataset import open_dataset
from signalbox.conversations.errors import CorruptPartError, ImportNotFoundError
from signalbox.conversations.filters import Filter
from signalbox.conversations.importing import Importer
from signalbox.conversations.models import StoredImport, item_id
from signalbox.conversations.packing import Packed
from signalbox.conversations.runtime import load
from signalbox.conversations.schemas import summarize
from signalbox.infra.context import Context
from signalbox.infra.events import find_events
from signalbox.sandbox.interviews import Made
from tests.conversations.conftest import import_folder, made, talk, write


async def found(context: Context) -> list[int]:
    searcher = await context.db.read(load)
    keys: list[int] = searcher.arrays.keys[searcher.find(Filter())].tolist()
    return keys


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data")


async def test_an_import_becomes_live_with_its_report_and_tells_of_it(context: Context, folder: Path) -> None:
    heard: list[str | None] = []
    await context.broadcast.open()
    context.broadcast.subscribe(importing.CHANNEL, heard.append)
    done = await import_folder(context, folder)
    assert (done.state, done.rows_total, done.rows_done, done.live_at) == ("live", 11, 11, context.clock.now())
    assert {file["file"].split("/")[0] for file in json.loads(done.report or "")["files"]} >= {"company", "monologue"}
    events = await context.db.read(find_events, topic="conversations.*", before=None, limit=5)
    assert [(each.topic, each.data["read"]) for each in events] == [("conversations.imported", 21)]
    assert heard == [str(done.id)]


async def test_the_same_files_again_change_nothing(context: Context, folder: Path) -> None:
    first = await import_folder(context, folder)
    again = await import_folder(context, folder)
    assert (again.state, again.report) == ("unchanged", first.report)
    assert await context.db.read(store.current_import) == first.id


async def test_another_data_set_takes_the_place_of_the_first(context: Context, folder: Path, tmp_path: Path) -> None:
    first = await import_folder(context, folder)
    rows = made()
    rows.conversation.append(talk(70, 4))
    second = await import_folder(context, write(tmp_path / "other", rows))
    replaced = await context.db.read(store.find_import, first.id)
    assert replaced is not None
    assert (replaced.state, await context.db.read(store.current_import)) == ("replaced", second.id)
    assert len(await found(context)) == 8
    assert await context.db.read(words.find, second.id, ["answer"]) != []


async def test_parts_that_are_all_empty_go_live_with_nothing(context: Context, folder: Path, tmp_path: Path) -> None:
    await import_folder(context, folder)
    done = await import_folder(context, write(tmp_path / "empty", Made([], [], [], [], [])))
    assert (done.state, done.rows_total, done.rows_done, done.texts_done) == ("live", 0, 0, 0)
    assert await context.db.read(store.current_import) == done.id
    assert await found(context) == []
    assert await context.db.read(words.find, done.id, ["answer"]) == []
    assert summarize(json.loads(done.report or ""))["read"] == 0


async def test_a_corrupt_part_leaves_what_was_live(context: Context, folder: Path, tmp_path: Path) -> None:
    first = await import_folder(context, folder)
    other = write(tmp_path / "other", made(), parts=1)
    part = next((other / "monologue").glob("part-00000*"))
    content = part.read_bytes()
    part.write_bytes(content[:200] + bytes(60) + content[260:])
    with pytest.raises(CorruptPartError, match=f"monologue/{part.name} cannot be read"):
        await import_folder(context, other)
    assert await context.db.read(store.current_import) == first.id
    assert len(await found(context)) == 7


async def test_nothing_is_seen_before_the_end_and_a_second_attempt_begins_anew(context: Context, folder: Path) -> None:
    seen: list[tuple[str, int]] = []

    class StoppedError(Exception):
        pass

    def tell(of: StoredImport) -> None:
        seen.append((of.state, of.rows_done))
        if of.rows_done:
            raise StoppedError

    number = await context.db.write(
        store.add_import, source="x", actor="test", forced=False, state="loading", now=context.clock.now()
    )
    with open_dataset(folder) as dataset:
        with pytest.raises(StoppedError):
            await Importer(context, number, tell=tell).run(dataset)
        assert seen[-1][1] > 0
        assert await found(context) == []
        assert (await Importer(context, number).run(dataset)).state == "live"
    assert len(await found(context)) == 7


async def test_words_are_taken_up_to_the_end(context: Context, folder: Path) -> None:
    done = await import_folder(context, folder, words=False)
    assert await context.db.read(words.find, done.id, ["rivals"]) == []
    assert await context.db.write(importing.take_up_some, 5, 4) == 4
    assert [await context.db.write(importing.take_up_some, 5, 6) for _ in range(3)] == [6, 1, 0]
    assert await context.db.read(words.find, done.id, ["rivals", "many"]) == [2]


async def test_failures_are_written_down_and_told(context: Context) -> None:
    number = await context.db.write(store.add_import, source="x", actor="test", forced=False, state="loading", now=1)
    await context.db.write(importing.fail, number, "because", now=2)
    of = await context.db.read(store.find_import, number)
    assert of is not None
    assert (of.state, of.error) == ("failed", "because")
    (event,) = await context.db.read(find_events, topic="conversations.*", before=None, limit=5)
    assert (event.topic, event.severity) == ("conversations.import_failed", "error")


async def test_an_import_without_its_row_is_refused(context: Context, folder: Path) -> None:
    with open_dataset(folder) as dataset, pytest.raises(ImportNotFoundError):
        await Importer(context, 99).run(dataset)


async def test_words_of_many_transactions_are_merged(context: Context) -> None:
    for at in range(20):
        await context.db.write(words.take_up, [(item_id(7, at), "often said")])
    await Importer(context, 7).merge_words()
    assert not await context.db.write(words.merge, importing.PAGES)
    assert await context.db.read(words.find, 7, ["said"]) == list(range(20))


async def test_upkeep_takes_up_words_that_an_importer_left(context: Context, folder: Path) -> None:
    done = await import_folder(context, folder, words=False)
    steps = [await context.db.write(importing.tidy_words, 5, 4) for _ in range(4)]
    assert steps == [4, 4, 3, 0]
    assert await context.db.read(words.find, done.id, ["rivals", "many"]) == [2]


def test_transactions_take_about_so_many_bytes_and_one_block_at_least() -> None:
    blocks = [Packed(at, 1, bytes(size)) for at, size in enumerate((10, 10, 50, 10, 5))]
    assert [[each.first for each in some] for some in importing.slices(blocks, 20)] == [[0, 1], [2], [3, 4]]
    assert list(importing.slices([], 20)) == []
