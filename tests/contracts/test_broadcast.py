"""What every version of the broadcast holds to."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from signalbox.core.errors import ConflictError
from signalbox.infra.broadcast import MAX_MESSAGE, Broadcast
from signalbox.infra.broadcast.memory import MemoryBroadcast
from signalbox.infra.broadcast.postgresql import PostgresqlBroadcast
from signalbox.infra.db import Database
from tests.support.databases import Place, PostgresqlPlace
from tests.support.timing import until

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


class Ear(list[str | None]):
    """A listener that remembers."""

    def __call__(self, message: str | None) -> None:
        assert asyncio.get_running_loop()
        self.append(message)


def make(place: Place) -> Broadcast:
    return PostgresqlBroadcast(place.url) if isinstance(place, PostgresqlPlace) else MemoryBroadcast()


@pytest.fixture
async def broadcast(place: Place) -> AsyncIterator[Broadcast]:
    made = make(place)
    await made.open()
    await until(lambda: made.hears)
    yield made
    await made.close()


async def say(database: Database, broadcast: Broadcast, *messages: str, channel: str = "news") -> None:
    await database.write(lambda tx: broadcast.publish(tx, channel, *messages))


async def test_what_was_said_has_arrived_here_when_the_write_returns(database: Database, broadcast: Broadcast) -> None:
    ear, other = Ear(), Ear()
    broadcast.subscribe("news", ear)
    broadcast.subscribe("weather", other)
    await say(database, broadcast, "a", "b")
    assert ear == ["a", "b"]
    await say(database, broadcast, "c")
    assert ear == ["a", "b", "c"]
    assert other == []


async def test_each_message_arrives_once(database: Database, broadcast: Broadcast) -> None:
    ear = Ear()
    broadcast.subscribe("news", ear)
    for number in range(20):
        await say(database, broadcast, str(number))
    await asyncio.sleep(0.1)  # for a second time on another way
    assert ear == [str(number) for number in range(20)]


async def test_every_listener_hears_until_it_ends(database: Database, broadcast: Broadcast) -> None:
    first, second = Ear(), Ear()
    stop = broadcast.subscribe("news", first)
    broadcast.subscribe("news", second)
    await say(database, broadcast, "a")
    stop()
    stop()
    await say(database, broadcast, "b")
    assert (first, second) == (["a"], ["a", "b"])


async def test_nothing_is_heard_of_what_is_undone(database: Database, broadcast: Broadcast) -> None:
    def refuse(tx: sa.Connection) -> None:
        broadcast.publish(tx, "news", "never")
        msg = "no"
        raise ConflictError(msg)

    def fail(tx: sa.Connection) -> None:
        broadcast.publish(tx, "news", "never")
        tx.exec_driver_sql("SELECT nonsense")

    ear = Ear()
    broadcast.subscribe("news", ear)
    dice = random.Random(1)
    kept = [str(number) for number in range(60)]
    work = [say(database, broadcast, message) for message in kept]
    bad = [database.write(dice.choice([refuse, fail])) for _ in range(20)]
    mixed = [*work, *bad]
    dice.shuffle(mixed)
    await asyncio.gather(*mixed, return_exceptions=True)
    await asyncio.sleep(0.05)
    assert sorted(ear, key=str) == sorted(kept)


async def test_a_listener_that_fails_keeps_nothing_from_others(
    database: Database, broadcast: Broadcast, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_message: str | None) -> None:
        raise RuntimeError

    ear = Ear()
    broadcast.subscribe("news", fail)
    broadcast.subscribe("news", ear)
    await say(database, broadcast, "a")
    assert ear == ["a"]
    assert "a listener failed" in caplog.text


async def test_a_listener_may_end_itself_or_begin_another(database: Database, broadcast: Broadcast) -> None:
    ear = Ear()

    def once(_message: str | None) -> None:
        stop()
        broadcast.subscribe("news", ear)

    stop = broadcast.subscribe("news", once)
    await say(database, broadcast, "a")
    await say(database, broadcast, "b")
    assert ear == ["b"]


@pytest.mark.parametrize(
    "message", ["", "a b  c", "é\n'\"\\\t", '{"a": 1}', "x" * MAX_MESSAGE, "é" * (MAX_MESSAGE // 2)]
)
async def test_messages_arrive_as_they_were(database: Database, broadcast: Broadcast, message: str) -> None:
    ear = Ear()
    broadcast.subscribe("news", ear)
    await say(database, broadcast, message)
    assert ear == [message]


@pytest.mark.parametrize("message", ["x" * (MAX_MESSAGE + 1), "é" * (MAX_MESSAGE // 2 + 1), "a\0", "\ud800"])
async def test_what_cannot_be_carried_is_refused(database: Database, broadcast: Broadcast, message: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what it says differs
        await say(database, broadcast, message)


async def test_before_it_opens_and_after_it_closes_nothing_arrives_and_nothing_fails(
    place: Place, database: Database
) -> None:
    made, ear = make(place), Ear()
    made.subscribe("news", ear)
    await say(database, made, "a")
    await made.close()
    await made.open()
    await until(lambda: made.hears)
    await made.close()
    await say(database, made, "b")
    await asyncio.sleep(0.02)
    assert [message for message in ear if message is not None] == []


async def test_thousands_at_once_all_arrive(database: Database, broadcast: Broadcast) -> None:
    ear = Ear()
    broadcast.subscribe("news", ear)
    await asyncio.gather(
        *(say(database, broadcast, *map(str, range(start, start + 10))) for start in range(0, 3_000, 10))
    )
    assert sorted(map(int, filter(None, ear))) == list(range(3_000))
