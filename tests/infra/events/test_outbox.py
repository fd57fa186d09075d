"""What belongs to the statements; what every user of events may rely on is in ``tests/contracts/test_events.py``."""

import asyncio

import pytest
import sqlalchemy as sa

from signalbox.infra.db import Database
from signalbox.infra.events import Event, InvalidTopicError, find_events, publish, take_new
from signalbox.infra.events.tables import event
from tests.support.databases import Place
from tests.support.timing import PATIENCE

START = 1_767_225_600_000_000


def fill(tx: sa.Connection) -> None:
    """Many events that were handed on, and a few new ones."""
    rows = [
        {"topic": f"a.b{number % 7}", "severity": "info", "data": "{}", "created_at": number, "taken_at": 1}
        for number in range(5_000)
    ]
    tx.execute(event.insert(), [*rows, *({**row, "taken_at": None} for row in rows[:5])])
    tx.exec_driver_sql("ANALYZE event")


@pytest.mark.parametrize(
    "query",
    [
        sa.select(event.c.id).where(event.c.taken_at.is_(None)).order_by(event.c.id).limit(10),
        sa.select(event.c.id).where(event.c.created_at < 5).order_by(event.c.created_at).limit(10),
        sa.select(event.c.id).where(event.c.topic == "a.b3").order_by(event.c.id.desc()).limit(10),
    ],
    ids=["new", "aged", "topic"],
)
async def test_indexes_serve(database: Database, query: sa.Select[tuple[int]]) -> None:
    def plan(tx: sa.Connection) -> str:
        prefix = "EXPLAIN QUERY PLAN" if tx.dialect.name == "sqlite" else "EXPLAIN"
        text = query.compile(tx, compile_kwargs={"literal_binds": True})
        return "\n".join(str(tuple(row)) for row in tx.exec_driver_sql(f"{prefix} {text}"))

    await database.write(fill)
    told = await database.read(plan)
    assert "ix_event" in told or "pk_event" in told
    assert "Seq Scan" not in told
    assert "TEMP B-TREE" not in told


@pytest.mark.parametrize("data", [{"a": float("nan")}, {"a": b"x"}, {"a": {1, 2}}, {"a": object()}])
async def test_what_is_not_json_is_refused(database: Database, data: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError), match="JSON"):
        await database.write(publish, Event("a.b", data), now=START)
    assert await database.read(find_events, limit=10) == []


@pytest.mark.parametrize("topic", ["", "a*", "a.**", "*.b", "a.*.b", "A.*", "a.b'", "a.\0", "%"])
async def test_what_is_no_pattern_is_refused(database: Database, topic: str) -> None:
    with pytest.raises(InvalidTopicError, match="no topic"):
        await database.read(find_events, topic=topic, limit=10)


async def test_an_event_that_is_committed_behind_a_later_one_is_taken_too(place: Place, database: Database) -> None:
    if place.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    engine = place.engine()
    with engine.connect() as slow:
        first = publish(slow, Event("a.b", {}), now=START)
        later = await database.write(publish, Event("a.b", {}), now=START)
        assert first is not None
        assert later is not None
        assert first < later
        assert [each.id for each in await database.write(take_new, now=START, limit=10)] == [later]
        slow.commit()
    engine.dispose()
    assert [each.id for each in await database.write(take_new, now=START, limit=10)] == [first]


async def test_takers_do_not_wait_for_each_other(place: Place, database: Database) -> None:
    if place.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    for _ in range(4):
        await database.write(publish, Event("a.b", {}), now=START)
    engine = place.engine()
    with engine.connect() as slow:
        held = take_new(slow, now=START, limit=2)
        async with asyncio.timeout(PATIENCE):
            others = await database.write(take_new, now=START, limit=10)
        slow.rollback()
    engine.dispose()
    assert [each.id for each in held] == [1, 2]
    assert [each.id for each in others] == [3, 4]
    assert [each.id for each in await database.write(take_new, now=START, limit=10)] == [1, 2]
