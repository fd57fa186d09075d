"""Who waits is told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from signalbox.core.sse import Mailbox
from signalbox.infra.context import Context
from signalbox.tasks.feed import MOST, RESYNC, Feed
from signalbox.tasks.journal import CHANNEL, MANY
from tests.support.task_world import ScriptedProvider, TaskWorld
from tests.support.timing import PATIENCE


@pytest.fixture
async def feed(context: Context) -> AsyncIterator[Feed]:
    await context.broadcast.open()
    made = Feed(context)
    made.open()
    yield made
    await made.close()
    await context.broadcast.close()


async def told(mailbox: Mailbox, count: int) -> bytes:
    """What readers got, once there are so many events."""
    got = b""
    async with asyncio.timeout(PATIENCE):
        async for piece in mailbox.pieces():
            got += piece
            if got.count(b"event: ") >= count:
                return got
    return got


async def tell(context: Context, message: str) -> None:
    await context.db.write(context.broadcast.publish, CHANNEL, message)


async def test_readers_get_tasks_as_they_are_and_leave(context: Context, feed: Feed) -> None:
    world = TaskWorld(context, ScriptedProvider())
    made = await world.hand_over(payload={"a": 1})
    first, second = Mailbox(), Mailbox()
    leave = feed.join(first)
    feed.join(second)
    await tell(context, f"{made.id},999")
    assert b'"payload":{"a":1}' in await told(first, 1)
    await told(second, 1)
    leave()
    await tell(context, MANY)
    assert RESYNC in await told(second, 1)
    assert not first._waiting


async def test_a_failure_of_any_kind_does_not_end_it(
    context: Context, feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    world = TaskWorld(context, ScriptedProvider())
    made = await world.hand_over(payload={"a": 1})
    mailbox = Mailbox()
    feed.join(mailbox)
    await context.db.write(lambda tx: tx.exec_driver_sql("ALTER TABLE task RENAME TO elsewhere"))
    await tell(context, str(made.id))
    assert (await told(mailbox, 1)).endswith(RESYNC)
    assert "readers of tasks miss changes" in caplog.messages
    await context.db.write(lambda tx: tx.exec_driver_sql("ALTER TABLE elsewhere RENAME TO task"))
    await tell(context, str(made.id))
    assert b'"payload":{"a":1}' in await told(mailbox, 1)


async def test_too_many_changes_are_told_as_one(context: Context, feed: Feed) -> None:
    mailbox = Mailbox()
    feed.join(mailbox)
    await tell(context, ",".join(str(number) for number in range(1, MOST + 2)))
    assert RESYNC in await told(mailbox, 1)


async def test_waiters_are_woken_by_id_and_all_when_something_may_have_been_missed(
    context: Context, feed: Feed
) -> None:
    with feed.waiters.join(1) as one, feed.waiters.join(2) as two:
        await tell(context, "1")
        assert await one.wait(10) is not None
        feed._hear(None)
        assert await two.wait(10) is not None
