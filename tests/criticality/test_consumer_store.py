import pytest
import sqlalchemy as sa

from signalbox.criticality import consumer_store
from signalbox.criticality.consumer_store import Asked, state_of
from signalbox.criticality.models import Consumer
from signalbox.infra.db import Database
from tests.criticality.conftest import SECOND, START


async def find(db: Database, app: str = "a") -> Consumer:
    found = await db.read(consumer_store.find_consumer, app, "s")
    assert found is not None
    return found


async def test_asks_add_up_and_time_never_goes_back(database: Database) -> None:
    for second in (5, 3):
        await database.write(consumer_store.note_asks, [Asked("a", "s", 2, START + second * SECOND)])
    found = await find(database)
    assert (found.requests, found.first_asked_at, found.last_asked_at) == (4, START + 5 * SECOND, START + 5 * SECOND)
    assert (found.overdue_at, state_of(found)) == (None, "seen")


async def test_only_who_is_watched_gets_overdue(database: Database) -> None:
    watched = {"period": 60 * SECOND, "overdue_at": START}
    await database.write(consumer_store.put_consumer, "a", "s", watched)
    await database.write(consumer_store.put_consumer, "b", "s", {"period": 60 * SECOND})
    asks = [Asked(app, "s", 1, START + SECOND) for app in "ab"]
    await database.write(consumer_store.note_asks, asks)
    assert [(await find(database, app)).overdue_at for app in "ab"] == [START + 61 * SECOND, None]


async def test_beats_find_gaps(database: Database) -> None:
    for now, alive_after, up_since in ((0, -10, 0), (5, -5, 0), (30, 20, 30), (31, 0, 30)):
        await database.write(consumer_store.beat, alive_after=alive_after, now=now)
        assert await database.read(consumer_store.find_pulse) == (now, up_since)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_the_watch_reads_an_index(database: Database) -> None:
    def plan(tx: sa.Connection) -> str:
        condition = "overdue_at <= 5 AND silent_since IS NULL"
        return str(
            tx.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT id FROM criticality_consumer WHERE {condition}").all()
        )

    assert "ix_criticality_consumer_overdue" in await database.read(plan)
