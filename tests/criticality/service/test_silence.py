"""Silence: once for each outage, by the hub's clock, and not while the hub was away."""

import asyncio

import pytest

from signalbox.criticality.consumer_store import Asked
from signalbox.criticality.schemas import NewConsumer
from signalbox.criticality.service import consumers, silence
from signalbox.infra.db import Database
from signalbox.infra.events import find_events
from tests.criticality.conftest import SECOND, START

TOPICS = {silence.SILENT: "silent", silence.BACK: "back"}


class Watch:
    """A hub whose clock is moved by hand; it serves from second 0 on, and beats whenever time passes."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def begin(self, second: float = 0, *, alone: bool = True) -> None:
        await self.db.write(silence.begin, alone=alone, now=at(second))

    async def register(self, app: str = "a", *, second: float = 0, interval: str = "60s", muted: bool = False) -> None:
        new = NewConsumer(app=app, interval=interval, muted=muted)
        await self.db.write(consumers.register, new, actor="test", now=at(second))

    async def ask(self, second: float, app: str = "a") -> None:
        await self.db.write(silence.note_asks, [Asked(app, "default", 1, at(second))], now=at(second))

    async def check(self, second: float, *, serving: bool = True) -> int:
        if serving:
            await self.db.write(silence.note_asks, [], now=at(second))
        return await self.db.write(silence.check, now=at(second))

    async def told(self) -> list[tuple[str, str]]:
        events = await self.db.read(find_events, limit=100)
        return [(TOPICS[each.topic], each.data["app"]) for each in reversed(events)]


def at(second: float) -> int:
    return START + round(second * SECOND)


@pytest.fixture
async def watch(database: Database) -> Watch:
    made = Watch(database)
    await made.begin()
    return made


async def serve_until(watch: Watch, since: int, until: int) -> None:
    """Beat and check every five seconds."""
    for second in range(since, until + 1, 5):
        await watch.check(second)


async def test_silence_is_told_once_and_so_is_its_end(watch: Watch) -> None:
    await watch.register()
    await watch.ask(10)
    await serve_until(watch, 15, 65)
    assert await watch.told() == []
    await serve_until(watch, 70, 200)
    assert await watch.told() == [("silent", "a")]
    await watch.ask(201)
    await serve_until(watch, 205, 250)
    assert await watch.told() == [("silent", "a"), ("back", "a")]
    await serve_until(watch, 255, 400)
    assert await watch.told() == [("silent", "a"), ("back", "a"), ("silent", "a")]


async def test_one_that_was_never_seen_counts_and_one_without_interval_does_not(watch: Watch) -> None:
    await watch.register()
    await watch.ask(1, "b")
    await serve_until(watch, 0, 100)
    assert await watch.told() == [("silent", "a")]


async def test_muted_and_retired_ones_do_not_count(watch: Watch) -> None:
    await watch.register("a", muted=True)
    await watch.register("b")
    await watch.db.write(consumers.retire, "b", "default", actor="test", now=at(1))
    await watch.ask(2, "a")
    await watch.ask(2, "b")
    await serve_until(watch, 5, 200)
    assert await watch.told() == []
    await watch.register("a", second=200)
    await serve_until(watch, 205, 255)
    assert await watch.told() == [], "its silence counts from when it is watched again"
    await serve_until(watch, 260, 270)
    assert await watch.told() == [("silent", "a")]


async def test_after_the_hub_was_down_each_has_its_whole_interval(watch: Watch) -> None:
    await watch.register("short", interval="60s")
    await watch.register("long", interval="5m")
    await serve_until(watch, 0, 50)
    await watch.begin(1_000)
    await serve_until(watch, 1_000, 1_055)
    assert await watch.told() == []
    await serve_until(watch, 1_060, 1_295)
    assert await watch.told() == [("silent", "short")]
    await serve_until(watch, 1_300, 1_305)
    assert await watch.told() == [("silent", "short"), ("silent", "long")]


async def test_while_nothing_serves_nobody_is_silent(watch: Watch) -> None:
    await watch.register()
    await serve_until(watch, 0, 50)
    assert [await watch.check(second, serving=False) for second in (66, 200, 10_000)] == [0, 0, 0]
    assert await watch.told() == []


async def test_a_process_that_restarts_beside_others_gives_no_grace(watch: Watch) -> None:
    await watch.register()
    await serve_until(watch, 0, 40)
    await watch.begin(45, alone=False)
    await serve_until(watch, 45, 60)
    assert await watch.told() == [("silent", "a")]


async def test_a_gap_that_no_start_told_of_is_found(watch: Watch) -> None:
    await watch.register()
    await serve_until(watch, 0, 30)
    await serve_until(watch, 50, 105)
    assert await watch.told() == []
    await serve_until(watch, 110, 110)
    assert await watch.told() == [("silent", "a")]


async def test_of_many_who_look_at_once_one_tells(watch: Watch, database: Database) -> None:
    for number in range(20):
        await watch.register(f"app-{number}")
    await serve_until(watch, 0, 55)
    await watch.db.write(silence.note_asks, [], now=at(60))
    counts = await asyncio.gather(*(database.write(silence.check, now=at(60)) for _ in range(8)))
    assert sum(counts) == 20
    assert len(await watch.told()) == 20
    for number in range(20):
        await watch.ask(61, f"app-{number}")
    counts = await asyncio.gather(*(database.write(silence.check, now=at(62)) for _ in range(8)))
    assert sum(counts) == 20
    assert len(await watch.told()) == 40


async def test_an_event_says_who_and_since_when(watch: Watch) -> None:
    await watch.register()
    await watch.ask(1)
    await serve_until(watch, 5, 65)
    (event,) = await watch.db.read(find_events, limit=5)
    assert event.severity == "warning"
    assert event.data == {
        "app": "a",
        "signal": "default",
        "interval_seconds": 60.0,
        "last_asked_at": "2026-01-01T00:00:01.000000Z",
        "silent_since": "2026-01-01T00:01:05.000000Z",
    }
