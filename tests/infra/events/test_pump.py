"""Events on their way to subscribers, over a real worker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
import pytest
import sqlalchemy as sa

from signalbox.core.errors import InvalidError
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db import Database
from signalbox.infra.events import Event, StoredEvent, Subscriber, delete_events, has_new, publish
from signalbox.infra.events.outbox import NEWS
from signalbox.infra.events.pump import DELIVER, Pump, hand_on
from signalbox.infra.jobs import ABOUT, Backoff, Kind, StoredJob, enqueue, find_jobs
from signalbox.infra.jobs.database import DatabaseQueue
from signalbox.infra.jobs.postgresql import PostgresqlQueue
from signalbox.infra.jobs.worker import Worker
from tests.support.databases import Place, PostgresqlPlace
from tests.support.timing import PATIENCE, until

CLOCK = SystemClock()
AT_ONCE = Backoff(base=0, cap=0)

heard = sa.Table("test_heard", sa.MetaData(), sa.Column("who", sa.Text), sa.Column("event", sa.BigInteger))


class Ear:
    """A subscriber that writes down what it hears, and fails as often as it is told to."""

    def __init__(self, name: str, *topics: str, failures: int = 0) -> None:
        self.events: list[StoredEvent] = []
        self.failures, self.called = failures, 0
        self.subscriber = Subscriber(name, topics, self._hear)

    def _hear(self, tx: sa.Connection, event: StoredEvent, now: int) -> None:
        self.called += 1
        assert now > event.created_at
        tx.execute(heard.insert().values(who=self.subscriber.name, event=event.id))
        if self.failures:
            self.failures -= 1
            msg = "not now"
            raise ValueError(msg)
        self.events.append(event)


@pytest.fixture
async def database(place: Place) -> AsyncIterator[Database]:
    opened = place.open()
    await opened.write(heard.create)
    yield opened
    await opened.write(heard.drop)
    await opened.close()


@asynccontextmanager
async def pumping(place: Place, database: Database, *ears: Ear, deaf: bool = False) -> AsyncIterator[Pump]:
    """A process with these subscribers; ``deaf`` hears of no news."""
    queue = PostgresqlQueue(database, place.url) if isinstance(place, PostgresqlPlace) else DatabaseQueue(database)
    pump = Pump(database, CLOCK, [ear.subscriber for ear in ears])
    kinds = {DELIVER: Kind(pump.kind.handle, backoff=AT_ONCE)}
    listeners = {} if deaf else {NEWS: pump.wake}
    worker = Worker(queue, kinds, CLOCK, name=f"{id(pump)}", listeners=listeners)
    await worker.open()
    pump.open()
    try:
        yield pump
    finally:
        await pump.close()
        await worker.close()


async def tell(database: Database, *topics: str) -> None:
    def write(tx: sa.Connection) -> None:
        for topic in topics:
            publish(tx, Event(topic, {"of": topic}), now=CLOCK.now() - 1)

    await database.write(write)


async def written(database: Database) -> list[tuple[str, int]]:
    return sorted(map(tuple, await database.read(lambda tx: tx.execute(sa.select(heard)).all())))


async def jobs(database: Database) -> Sequence[StoredJob]:
    return await database.read(find_jobs, limit=500)


async def test_each_event_reaches_each_subscriber_that_wants_it_once(place: Place, database: Database) -> None:
    everything, some, nothing = Ear("everything", "*"), Ear("some", "job.dead", "gateway.*"), Ear("nothing", "grid.*")
    async with pumping(place, database, everything, some, nothing):
        await tell(database, "job.dead", "gateway.upstream_down", "tasks.failed")
        await until(lambda: (len(everything.events), len(some.events)) == (3, 2))
    assert {event.topic for event in everything.events} == {"job.dead", "gateway.upstream_down", "tasks.failed"}
    assert {event.data["of"] for event in some.events} == {"job.dead", "gateway.upstream_down"}
    assert len(await written(database)) == 5
    assert {job.state for job in await jobs(database)} == {"done"}
    assert nothing.called == 0


async def test_what_was_there_before_the_process_is_handed_on(place: Place, database: Database) -> None:
    await tell(database, "a.b", "a.c")
    ear = Ear("ear", "*")
    async with pumping(place, database, ear):
        await until(lambda: len(ear.events) == 2)


async def test_an_event_that_nothing_tells_of_is_found(place: Place, database: Database) -> None:
    ear = Ear("ear", "*")
    async with pumping(place, database, ear, deaf=True):
        await asyncio.sleep(0.05)
        await tell(database, "a.b")
        await until(lambda: ear.events)


async def test_a_subscriber_that_fails_is_called_again_and_holds_nobody_up(place: Place, database: Database) -> None:
    broken, sound = Ear("broken", "*", failures=3), Ear("sound", "*")
    async with pumping(place, database, broken, sound):
        await tell(database, "a.b")
        await until(lambda: sound.events and broken.events)
    assert broken.called >= 4
    assert await written(database) == [("broken", broken.events[0].id), ("sound", sound.events[0].id)]


async def test_who_never_succeeds_is_told_of_once_and_no_more(place: Place, database: Database) -> None:
    """The death of its job is an event; that it cannot be delivered either is not told again."""
    ear = Ear("ear", "*", failures=10_000)
    async with pumping(place, database, ear):
        await tell(database, "a.b")
        async with asyncio.timeout(PATIENCE):
            while [job.state for job in await jobs(database)] != ["dead", "dead"]:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
    assert [job.payload[ABOUT] for job in await jobs(database)] == ["job.dead", "a.b"]
    assert not await database.read(has_new)


async def test_several_processes_hand_each_event_on_once(place: Place, database: Database) -> None:
    if not isinstance(place, PostgresqlPlace):
        pytest.skip("SQLite has one process")
    first, second = Ear("ear", "*"), Ear("ear", "*")
    other = place.open()
    async with pumping(place, database, first), pumping(place, other, second):
        await asyncio.gather(*(tell(db, *["a.b"] * 10) for db in [database, other] * 10))
        await until(lambda: len(first.events) + len(second.events) == 200)
    await other.close()
    rows = await written(database)
    assert len(rows) == len(set(rows)) == 200


async def test_nothing_is_handed_on_of_a_transaction_that_is_undone(database: Database) -> None:
    await tell(database, "a.b")

    def undone(tx: sa.Connection) -> None:
        assert hand_on(tx, [Ear("ear", "*").subscriber], now=1, limit=9) == 1
        msg = "no"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError):
        await database.write(undone)
    assert await database.read(has_new)
    assert await jobs(database) == []


async def test_events_that_nobody_wants_are_not_kept_for_later(database: Database) -> None:
    await tell(database, "a.b", "a.c", "a.d")
    assert await database.write(hand_on, [], now=1, limit=2) == 2
    assert await database.write(hand_on, [], now=1, limit=2) == 1
    assert not await database.read(has_new)
    assert await jobs(database) == []


async def test_what_cannot_be_delivered_says_why(place: Place, database: Database) -> None:
    await tell(database, "a.b")
    await database.write(hand_on, [Ear("ear", "*").subscriber], now=CLOCK.now(), limit=9)
    await database.write(delete_events, older_than=CLOCK.now(), limit=9)
    payload = {"event": 1, "subscriber": "stranger", ABOUT: "a.b"}
    await database.write(enqueue, DELIVER, payload, now=CLOCK.now(), max_attempts=1)
    async with pumping(place, database, Ear("ear", "*")):
        async with asyncio.timeout(PATIENCE):
            while {job.state for job in await jobs(database)} - {"dead", "done"}:
                await asyncio.sleep(0.02)
    errors = {job.payload["subscriber"]: job.error for job in await jobs(database) if job.payload[ABOUT] == "a.b"}
    assert errors["ear"] is not None
    assert errors["stranger"] is not None
    assert "has been deleted" in errors["ear"]
    assert "no subscriber 'stranger'" in errors["stranger"]


async def test_a_database_that_is_away_is_waited_for(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    database = place.open()
    pump = Pump(database, CLOCK, [])
    await database.close()
    pump.open()
    await until(lambda: "events wait for the database" in caplog.text)
    pump.wake()
    await pump.close()
    assert caplog.text.count("events wait") == 1


async def test_two_subscribers_of_one_name_are_refused(database: Database) -> None:
    with pytest.raises(InvalidError, match="ear"):
        Pump(database, CLOCK, [Ear("ear", "*").subscriber, Ear("ear", "a.b").subscriber])


def test_publishing_marks_what_is_written_and_nothing_else(place: Place) -> None:
    engine = place.engine()
    with engine.begin() as tx:
        publish(tx, Event("a.b", {}, dedup_key="k"), now=5)
        assert tx.info["signalbox_jobs"] == {NEWS: 5}
        tx.info.clear()
        publish(tx, Event("a.b", {}, dedup_key="k"), now=6)
        assert NEWS not in tx.info.get("signalbox_jobs", {})
    engine.dispose()


async def test_other_processes_are_told_of_what_is_published(place: Place, database: Database) -> None:
    if not isinstance(place, PostgresqlPlace):
        pytest.skip("SQLite has one process")
    async with await psycopg.AsyncConnection.connect(place.url, autocommit=True) as listener:
        await listener.execute("LISTEN signalbox_jobs")
        await tell(database, "a.b")
        notices = [notice.payload async for notice in listener.notifies(timeout=10, stop_after=1)]
    assert notices == [NEWS]
