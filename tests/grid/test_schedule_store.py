"""Queries about schedules."""

import sqlalchemy as sa

from signalbox.grid import schedule_store
from signalbox.grid.schedule_store import find_due, find_schedule, find_schedules
from tests.support.databases import Place

VALUES = {
    "every": "day",
    "timezone": "UTC",
    "delay": 5,
    "paused": False,
    "next_start": 0,
    "next_end": 100,
    "created_by": "test",
    "created_at": 0,
    "updated_at": 0,
}


def test_the_one_that_is_due_longest_comes_first(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        late, later, paused = (
            schedule_store.add_schedule(tx, {**VALUES, "name": name, "next_end": end, "paused": stands})
            for name, end, stands in (("a", 100, False), ("b", 90, False), ("c", 1, True))
        )
        assert find_due(tx, now=94) is None, "the delay counts"
        found = find_due(tx, now=200)
        assert found is not None
        assert found.id == later
        schedule_store.change_schedule(tx, later, {"next_end": 300})
        found = find_due(tx, now=200)
        assert found is not None
        assert (found.id, found.next_period) == (late, (0, 100))
        assert [row.id for row in find_schedules(tx, limit=2)] == [paused, later]
        assert [row.id for row in find_schedules(tx, before=later, limit=2)] == [late]
        schedule_store.delete_schedule(tx, late)
        assert find_schedule(tx, late) is None
        assert [row.id for row in find_schedules(tx, limit=9)] == [paused, later]


def test_two_processes_take_different_ones(place: Place) -> None:
    if place.dialect == "sqlite":
        return  # it has one writer
    engines = [place.engine() for _ in range(2)]
    with engines[0].begin() as tx:
        for name in ("a", "b"):
            schedule_store.add_schedule(tx, {**VALUES, "name": name})
    with engines[0].begin() as one, engines[1].begin() as other:
        taken = [find_due(tx, now=200) for tx in (one, other, one)]
        assert [row.name for row in taken if row is not None] == ["a", "b", "a"]
    for engine in engines:
        engine.dispose()
