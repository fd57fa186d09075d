from typing import Any

from signalbox.criticality import store
from signalbox.criticality.service import rules
from signalbox.criticality.settings import CriticalitySettings
from signalbox.infra.db import Database
from signalbox.infra.events import StoredEvent
from tests.criticality.conftest import SECOND, START, silent

SETTINGS = CriticalitySettings.model_validate(
    {
        "rules": [
            {"topic": "grid.threshold", "level": 4, "hold": "1m"},
            {"topic": "gateway.*", "level": 2, "signal": "gateway"},
            {"topic": "gateway.upstream_down", "level": 3, "signal": "gateway"},
        ]
    }
)


def event(topic: str) -> StoredEvent:
    return StoredEvent(7, topic, "error", None, {}, START)


async def follow(db: Database, topic: str, second: int = 0) -> list[tuple[Any, ...]]:
    (subscriber,) = rules.to_subscribers(SETTINGS, silent)
    await db.write(subscriber.handle, event(topic), START + second * SECOND)
    levels = await db.read(store.find_signals)
    return [(each.signal, each.level, each.revision, each.set_by) for each in levels]


async def test_an_event_raises_its_signal_as_the_hub_at_the_hubs_time(database: Database) -> None:
    assert await follow(database, "grid.threshold", 5) == [("default", 4, 1, "hub")]
    (level,) = await database.read(store.find_signals)
    assert (level.changed_at, level.reason) == (START + 5 * SECOND, "event grid.threshold 7")
    found = await database.read(store.find_signal, "default")
    assert found is not None
    assert (found.held_level, found.held_until) == (4, START + 65 * SECOND)


async def test_of_several_rules_the_highest_counts_once(database: Database) -> None:
    assert await follow(database, "gateway.upstream_down") == [("gateway", 3, 1, "hub")]
    assert await follow(database, "gateway.upstream_up", 1) == [("gateway", 3, 1, "hub")]


async def test_events_come_again_without_harm(database: Database) -> None:
    await follow(database, "grid.threshold")
    assert await follow(database, "grid.threshold", 1) == [("default", 4, 1, "hub")]


async def test_other_topics_change_nothing(database: Database) -> None:
    assert await follow(database, "grid.threshold_off") == []
    (subscriber,) = rules.to_subscribers(SETTINGS, silent)
    assert [subscriber.wants(topic) for topic in ("grid.threshold", "gateway.x", "jobs.dead")] == [True, True, False]


def test_without_rules_nobody_subscribes() -> None:
    assert rules.to_subscribers(CriticalitySettings(), silent) == []
