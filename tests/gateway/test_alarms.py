import asyncio
import dataclasses
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from signalbox.core.times import to_rfc3339
from signalbox.gateway.alarms import DOWN, UP, Alarms
from signalbox.gateway.breaker import Breaker, BreakerSettings, Failure
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.db import Database
from signalbox.infra.db.postgresql import WRITERS
from signalbox.infra.events import StoredEvent, find_events
from tests.support.databases import Place, PostgresqlPlace, PostgresqlServer
from tests.support.timing import PATIENCE


class Story:
    """A breaker whose changes become events."""

    def __init__(self, alarms: Alarms, clock: ManualClock, name: str = "shop") -> None:
        self.clock = clock
        self.breaker = Breaker(
            BreakerSettings(minimum_calls=2), name, now=clock.monotonic(), on_change=alarms.on_change, jitter=lambda: 0
        )

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            now = self.clock.monotonic()
            self.breaker.admit(now).fail(Failure(now, "GET", "/a?key=secret", "connect_failed", "r1"))

    def succeed(self, times: int) -> None:
        for _ in range(times):
            self.breaker.admit(self.clock.monotonic()).succeed(self.clock.monotonic())

    def outage(self) -> None:
        """Go down, fail one probe, and come up again after 20 seconds."""
        self.fail(times=2)
        self.clock.advance(5)
        self.fail()
        self.clock.advance(15)
        self.succeed(times=3)


async def written(db: Database) -> list[StoredEvent]:
    return (await db.read(find_events, limit=500))[::-1]


async def until_written(db: Database, count: int) -> list[StoredEvent]:
    async with asyncio.timeout(PATIENCE):
        while len(events := await written(db)) < count:
            await asyncio.sleep(0.02)
    return events


@contextmanager
def away(place: Place, request: pytest.FixtureRequest) -> Iterator[None]:
    """The database cannot be written to meanwhile."""
    if isinstance(place, PostgresqlPlace):
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        with server.closed(place):
            yield
        return
    engine = place.engine()
    with engine.connect() as tx:  # BEGIN IMMEDIATE: nobody else may write
        tx.exec_driver_sql("SELECT 1")
        yield
    engine.dispose()


@asynccontextmanager
async def opened(context: Context, **more: float) -> AsyncIterator[Alarms]:
    alarms = Alarms(context, pause=more.get("pause", 0.05), capacity=int(more.get("capacity", 200)))
    alarms.open()
    yield alarms
    await alarms.close()


async def test_an_outage_is_told_at_its_begin_and_its_end(context: Context, clock: ManualClock) -> None:
    start = clock.now()
    async with opened(context) as alarms:
        Story(alarms, clock).outage()
        down, up = await until_written(context.db, 2)
    sample = {
        "at": to_rfc3339(start),
        "method": "GET",
        "path": "/a",
        "outcome": "connect_failed",
        "request_id": "r1",
    }
    assert (down.topic, down.severity, down.created_at) == (DOWN, "error", start)
    assert down.data == {
        "upstream": "shop",
        "reason": "2 of 2 calls failed in 10 s, last: connect_failed",
        "samples": [sample, sample],
        "since": to_rfc3339(start),
        "down_seconds": 0,
    }
    assert (up.topic, up.severity, up.created_at) == (UP, "info", start + 20_000_000)
    assert up.data == {
        "upstream": "shop",
        "reason": "3 probes succeeded",
        "samples": [sample, sample, {**sample, "at": to_rfc3339(start + 5_000_000)}],
        "since": to_rfc3339(start),
        "down_seconds": 20,
    }


async def test_a_reset_by_hand_is_told(context: Context, clock: ManualClock) -> None:
    async with opened(context) as alarms:
        story = Story(alarms, clock)
        story.breaker.reset(clock.monotonic())  # nothing was down
        story.fail(times=2)
        clock.advance(3)
        story.breaker.reset(clock.monotonic())
        down, up = await until_written(context.db, 2)
    assert (down.topic, up.topic) == (DOWN, UP)
    assert (up.data["reason"], up.data["down_seconds"]) == ("reset by hand", 3)


async def test_each_outage_is_told(context: Context, clock: ManualClock) -> None:
    async with opened(context) as alarms:
        for name in ("shop", "bank"):
            story = Story(alarms, clock, name)
            for _ in range(3):
                story.outage()
    events = await written(context.db)
    assert [each.topic for each in events] == [DOWN, UP] * 6
    assert [each.data["upstream"] for each in events] == ["shop"] * 6 + ["bank"] * 6


async def test_while_the_database_is_away_events_wait_and_no_call_does(
    context: Context, clock: ManualClock, place: Place, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "signalbox.gateway.alarms")
    async with opened(context) as alarms:
        with away(place, request):
            loop = asyncio.get_running_loop()
            begun = loop.time()
            Story(alarms, clock).outage()
            assert loop.time() - begun < 4.5  # SQLite would wait for 5 s
            async with asyncio.timeout(PATIENCE):
                while not caplog.records:
                    await asyncio.sleep(0.02)
        events = await until_written(context.db, 2)
    assert [each.topic for each in events] == [DOWN, UP]
    assert alarms.dropped == 0
    told = [record.levelno for record in caplog.records if record.name == "signalbox.gateway.alarms"]
    assert told == [logging.WARNING, logging.INFO]


async def test_of_too_many_events_the_oldest_are_dropped_and_counted(context: Context, clock: ManualClock) -> None:
    alarms = Alarms(context, capacity=4)  # not open yet: nothing is written
    for number in range(5):
        Story(alarms, clock, f"u{number}").outage()
    assert (alarms.waiting, alarms.dropped) == (4, 6)
    await alarms.close()
    assert [each.data["upstream"] for each in await written(context.db)] == ["u3", "u3", "u4", "u4"]
    assert alarms.waiting == 0


async def test_closing_writes_what_waits(context: Context, clock: ManualClock) -> None:
    async with opened(context) as alarms:
        Story(alarms, clock).outage()
    assert [each.topic for each in await written(context.db)] == [DOWN, UP]


async def test_closing_loses_no_event_that_is_just_being_written(context: Context, clock: ManualClock) -> None:
    gate = threading.Event()
    held = [asyncio.create_task(context.db.write(lambda tx: gate.wait(10) and None)) for _ in range(WRITERS)]
    await asyncio.sleep(0.1)  # every thread that writes is held now
    alarms = Alarms(context)
    alarms.open()
    Story(alarms, clock).outage()
    await asyncio.sleep(0.1)
    closing = asyncio.create_task(alarms.close())
    await asyncio.sleep(0.1)
    gate.set()
    await asyncio.gather(closing, *held)
    assert [each.topic for each in await written(context.db)] == [DOWN, UP]
    assert alarms.dropped == 0


async def test_what_cannot_be_written_at_the_end_is_counted(context: Context, clock: ManualClock, place: Place) -> None:
    database = place.open()
    alarms = Alarms(dataclasses.replace(context, db=database))
    alarms.open()
    await database.close()
    Story(alarms, clock).outage()
    async with asyncio.timeout(PATIENCE):
        await alarms.close()
    assert (alarms.waiting, alarms.dropped) == (0, 2)


async def test_an_event_that_cannot_be_written_ends_no_others(
    context: Context, clock: ManualClock, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    engine = place.engine()
    with engine.begin() as tx:
        tx.exec_driver_sql("ALTER TABLE event RENAME TO hidden")
    async with opened(context) as alarms:
        Story(alarms, clock, "a").outage()
        async with asyncio.timeout(PATIENCE):
            while alarms.dropped < 2:
                await asyncio.sleep(0.02)
        with engine.begin() as tx:
            tx.exec_driver_sql("ALTER TABLE hidden RENAME TO event")
        Story(alarms, clock, "b").outage()
        events = await until_written(context.db, 2)
    engine.dispose()
    assert [each.data["upstream"] for each in events] == ["b", "b"]
    assert [record.levelno for record in caplog.records if record.name == "signalbox.gateway.alarms"] == [40, 40]
