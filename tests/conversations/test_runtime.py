"""What a process remembers of conversations, and when it looks again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection

from signalbox.conversations import store
from signalbox.conversations.runtime import ConversationRuntime, Kept, KeptCodec, load
from signalbox.conversations.searching import Searcher
from signalbox.conversations.settings import ConversationSettings
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.cache.redis import Bounds
from signalbox.infra.context import Context
from tests.conversations.conftest import IDS, PATH, Desk, import_folder, made, talk, write
from tests.support.caches import redis_cache, redis_url
from tests.support.databases import Place
from tests.support.hub import running_hub, settings_at
from tests.support.timing import PATIENCE


@pytest.fixture
async def runtime(context: Context) -> AsyncIterator[ConversationRuntime]:
    opened = ConversationRuntime(context, ConversationSettings(), MemoryCache(KeptCodec(), clock=context.clock))
    await opened.open()
    yield opened
    await opened.close()


async def test_equal_searches_at_the_same_time_are_computed_once(runtime: ConversationRuntime) -> None:
    calls: list[int] = []

    def compute(_tx: Connection, of: Searcher) -> Kept:
        calls.append(of.version)
        return Kept(b"x", 5)

    searcher = await runtime.searcher()
    asked = [runtime.answer(key, searcher, compute) for key in [b"a"] * 20 + [b"b"]]
    assert set(await asyncio.gather(*asked)) == {Kept(b"x", 5)}
    assert await runtime.answer(b"a", searcher, compute) == Kept(b"x", 5)
    assert len(calls) == 2


async def test_a_failure_is_told_to_all_and_not_kept(runtime: ConversationRuntime) -> None:
    def fail(_tx: Connection, _of: Searcher) -> Kept:
        msg = "no"
        raise ValueError(msg)

    searcher = await runtime.searcher()
    found = await asyncio.gather(*(runtime.answer(b"a", searcher, fail) for _ in range(3)), return_exceptions=True)
    assert [str(each) for each in found] == ["no"] * 3
    assert await runtime.answer(b"a", searcher, lambda _tx, _of: Kept(b"y")) == Kept(b"y")


async def test_one_who_leaves_takes_the_answer_from_nobody(runtime: ConversationRuntime) -> None:
    searcher = await runtime.searcher()
    first = asyncio.create_task(runtime.answer(b"a", searcher, lambda _tx, _of: Kept(b"x")))
    await asyncio.sleep(0)
    second = asyncio.create_task(runtime.answer(b"a", searcher, lambda _tx, _of: Kept(b"y")))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).body in {b"x", b"y"}


async def test_a_new_version_is_noticed_without_being_told(
    runtime: ConversationRuntime, context: Context, tmp_path: Path
) -> None:
    assert (await runtime.searcher()).version == 0
    done = await import_folder(context, write(tmp_path / "d"))
    async with asyncio.timeout(PATIENCE):
        while (await runtime.searcher()).version != done.id:
            await asyncio.sleep(0.02)
    assert (await context.db.read(load)).version == done.id


async def test_a_new_import_takes_the_place_of_kept_answers(desk: Desk, tmp_path: Path) -> None:
    before = await desk.call(PATH)
    assert await desk.ids() == [*IDS["microsoft"], *IDS["zebra"]]
    rows = made()
    rows.conversation.append(talk(70, 4))
    await desk.load(write(tmp_path / "other", rows))
    after = await desk.call(PATH, If_None_Match=(before.value(b"etag") or b"").decode())
    assert after.status == 200
    assert 70 in await desk.ids()


async def test_processes_share_answers_in_redis_and_compute_each_once(context: Context, tmp_path: Path) -> None:
    calls: list[int] = []

    def compute(_tx: Connection, of: Searcher) -> Kept:
        calls.append(of.version)
        return Kept(b"x" * 5_000, 5)

    async with AsyncExitStack() as stack:
        cache = await stack.enter_async_context(redis_cache(KeptCodec(), context.clock, Bounds(timeout=PATIENCE)))
        first, second = (ConversationRuntime(context, ConversationSettings(), cache) for _ in range(2))
        await import_folder(context, write(tmp_path / "d"))
        searcher = await first.searcher()
        found = await asyncio.gather(*(first.answer(b"a", searcher, compute) for _ in range(50)))
        assert (set(found), len(calls)) == ({Kept(b"x" * 5_000, 5)}, 1)
        assert await second.answer(b"a", await second.searcher(), compute) == found[0]
        assert len(calls) == 1, "the other process finds it in Redis"


async def test_searches_with_redis_follow_the_version(place: Place, tmp_path: Path) -> None:
    async with running_hub(settings_at(place, cache={"redis_url": redis_url()})) as hub:
        desk = Desk(hub, (await hub.token("manager")).text)
        rows = made()
        rows.conversation[2]["answer"] = uuid4().hex  # others keep answers in the same Redis
        await desk.load(write(tmp_path / "d", rows))
        search = f"{PATH}?company=microsoft&detail=true"
        first = [await desk.call(search) for _ in range(3)]
        assert {each.status for each in first} == {200}
        assert len({each.body for each in first}) == 1
        rows.conversation.append(talk(70, 4))
        await desk.load(write(tmp_path / "e", rows))
        after = await desk.call(search, If_None_Match=(first[0].value(b"etag") or b"").decode())
        assert after.status == 200
        assert after.body != first[0].body


async def test_another_data_set_under_the_same_number_has_other_keys(context: Context, tmp_path: Path) -> None:
    await import_folder(context, write(tmp_path / "d"))
    before = await context.db.read(load)

    def replace(tx: Connection) -> None:
        store.change_import(tx, before.version, fingerprint="0" * 64, now=1)

    await context.db.write(replace)
    after = await context.db.read(load)
    assert (after.version, len(before.stamp)) == (before.version, 12)
    assert after.stamp != before.stamp, "a database that was made anew would find answers of the former in Redis"


def test_answers_come_back_from_bytes() -> None:
    codec, kept = KeptCodec(), Kept(b"{}", 7)
    assert codec.decode(codec.encode(kept)) == kept
    assert codec.size(kept) > 2
    with pytest.raises(ValueError, match=r"\w"):
        codec.decode(b"\xff")
