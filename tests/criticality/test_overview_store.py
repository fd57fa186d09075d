"""What ``service/test_overview.py`` does not show: how it is read."""

import pytest
import sqlalchemy as sa

from signalbox.criticality import overview_store
from signalbox.infra.context import Context
from signalbox.infra.db import Database


async def test_without_rows_there_is_nothing(context: Context) -> None:
    database = context.db
    assert await database.read(overview_store.find_level_before, "s", moment=5) is None
    assert await database.read(overview_store.find_steps, "s", since=0, until=5, parts=3) == []
    assert await context.calls_db.read(overview_store.count_asks, name=None, since=0, until=5) == 0


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_asks_of_an_app_are_found_by_index(context: Context) -> None:
    def plan(tx: sa.Connection) -> str:
        statement = "EXPLAIN QUERY PLAN SELECT minute, sum(count) FROM criticality_ask WHERE app = 'a' GROUP BY minute"
        return str(tx.exec_driver_sql(statement).all())

    assert "ix_criticality_ask_app" in await context.calls_db.read(plan)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_retired_consumers_are_found_by_index(database: Database) -> None:
    def plan(tx: sa.Connection) -> str:
        statement = (
            "EXPLAIN QUERY PLAN SELECT * FROM criticality_consumer WHERE retired_at IS NOT NULL ORDER BY id DESC"
        )
        return str(tx.exec_driver_sql(statement).all())

    assert "ix_criticality_consumer_retired" in await database.read(plan)
