from pathlib import Path

import pytest

from signalbox.conversations import answers
from signalbox.conversations.errors import TextsUnreadyError, VersionGoneError
from signalbox.conversations.filters import Filter
from signalbox.conversations.importing import take_up_some
from signalbox.conversations.linking import CONVERSATION
from signalbox.conversations.runtime import load
from signalbox.conversations.sweeping import KEPT_REPLACED, sweep_some
from signalbox.infra.context import Context
from tests.conversations.conftest import import_folder, made, speech, write, write_explicit


async def test_words_are_found_once_all_are_taken_up(context: Context, tmp_path: Path) -> None:
    await import_folder(context, write(tmp_path / "d"), words=False)
    searcher = await context.db.read(load)
    with pytest.raises(TextsUnreadyError, match="0 of 11"):
        await context.db.read(answers.search, searcher, Filter(words=("rivals",)))
    assert len(await context.db.read(answers.search, searcher, Filter())) == 7, "other searches need no words"
    while await context.db.write(take_up_some, 1, 100):
        pass
    assert len(await context.db.read(answers.search, searcher, Filter(words=("rivals",)))) == 1
    assert len(await context.db.read(answers.search, searcher, Filter(words=()))) == 0


async def test_a_version_that_is_deleted_is_not_read_in_part(context: Context, tmp_path: Path) -> None:
    await import_folder(context, write(tmp_path / "d"))
    searcher = await context.db.read(load)
    rows = made()
    rows.monologue[0] = speech(9, 1)
    await import_folder(context, write(tmp_path / "e", rows))
    while await context.db.write(sweep_some, context.clock.now() + KEPT_REPLACED + 1, 100):
        pass
    with pytest.raises(VersionGoneError):
        await context.db.read(answers.read_items, searcher, [0])
    with pytest.raises(VersionGoneError):
        await context.db.read(answers.thread, searcher, 10)


async def test_a_transcript_is_in_order_also_where_a_row_has_another_company(context: Context, tmp_path: Path) -> None:
    rows = made()
    rows.conversation[4]["id_company"] = 7
    rows.conversation[2]["id_company"] = 99
    await import_folder(context, write_explicit(tmp_path / "d", rows, "conversation"))
    searcher = await context.db.read(load)
    for transcript, expected in ((10, [3, 4]), (11, [5, 6, 7]), (30, [1, 2])):
        found = await context.db.read(answers.thread, searcher, transcript)
        assert [each.id for each in found.items] == expected
    among = [await context.db.read(answers.one, searcher, number, CONVERSATION) for number in (5, 6, 7, 3)]
    assert [(each.previous, each.next) for each in among] == [(None, 6), (5, 7), (6, None), (None, 4)]
    assert [each.conversation.company for each in among] == ["Zebra", "Microsoft", "Microsoft", None]


async def test_a_page_comes_with_what_may_narrow_it(context: Context, tmp_path: Path) -> None:
    await import_folder(context, write(tmp_path / "d"))
    searcher = await context.db.read(load)
    found = await context.db.read(answers.with_facets, searcher, Filter(tags=("competition",)), number=1, size=2)
    assert ([each.id for each in found.page.conversations], found.page.total) == ([6, 3], 3)
    assert [(each.name, each.count) for each in found.companies] == [("Microsoft", 2), ("Zebra", 1)]
    assert [(each.name, each.count) for each in found.tags] == [("Competition", 3), ("orientation", 1)]
    fewer = await context.db.read(answers.with_facets, searcher, Filter(), number=1, size=1, facets=1)
    assert (len(fewer.companies), len(fewer.tags)) == (1, 1)
