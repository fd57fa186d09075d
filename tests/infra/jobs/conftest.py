from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from signalbox.infra.jobs import NewJob, enqueue_many
from tests.support.databases import Place
from tests.support.jobs import START, VERSIONS, Desk, open_desk, place_of

BACKLOG = 20_000


@pytest.fixture(params=VERSIONS)
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    """An empty queue of each version."""
    async with open_desk(request.param, place_of(request, request.param, tmp_path)) as opened:
        yield opened


@pytest.fixture
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    """An empty queue in memory: for what is the same over every version."""
    async with open_desk("memory", place_of(request, "memory", tmp_path)) as opened:
        yield opened


@pytest.fixture
def full(place: Place) -> Iterator[sa.Engine]:
    """A database with many done jobs, many that are due, and many more urgent ones that are due later."""
    engine = place.engine()
    with engine.begin() as tx:
        enqueue_many(tx, [NewJob("test.work", {})] * BACKLOG, now=START)
        tx.exec_driver_sql(f"UPDATE job SET state = 'done', ended_at = {START}")
        enqueue_many(tx, [NewJob("test.work", {})] * BACKLOG, now=START)
        enqueue_many(tx, [NewJob("test.work", {}, START + 1, None, 1)] * BACKLOG, now=START)
    if place.dialect == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
            tx.exec_driver_sql("ANALYZE job")
    yield engine
    engine.dispose()
