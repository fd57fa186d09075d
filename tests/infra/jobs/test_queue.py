"""What only databases have; what every version does is in ``tests/contracts/test_jobs.py``."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.infra.jobs import DEAD, NewJob, enqueue_many
from signalbox.infra.jobs.outcomes import of_outcome
from signalbox.infra.jobs.queue import claim, dead_event, next_due, record
from tests.infra.jobs.test_outcomes import make
from tests.support.databases import Place

NOW = 1_767_225_600_000_000
BACKLOG = 20_000


@pytest.fixture
def full(place: Place) -> Iterator[sa.Engine]:
    """A database with many done jobs, many that are due, and many more urgent ones that are due later."""
    engine = place.engine()
    with engine.begin() as tx:
        enqueue_many(tx, [NewJob("test.work", {})] * BACKLOG, now=NOW)
        tx.exec_driver_sql(f"UPDATE job SET state = 'done', ended_at = {NOW}")
        enqueue_many(tx, [NewJob("test.work", {})] * BACKLOG, now=NOW)
        enqueue_many(tx, [NewJob("test.work", {}, NOW + 1, None, 1)] * BACKLOG, now=NOW)
    if place.dialect == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
            tx.exec_driver_sql("ANALYZE job")
    yield engine
    engine.dispose()


def steps(tx: sa.Connection, run: Any) -> list[str]:
    """How the database does what ``run`` asks of it."""
    plans: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("EXPLAIN"):
            way = "EXPLAIN QUERY PLAN " if tx.dialect.name == "sqlite" else "EXPLAIN "
            plans.extend(str(row) for row in tx.exec_driver_sql(way + statement, parameters))

    sa.event.listen(tx, "before_cursor_execute", explain)
    run()
    sa.event.remove(tx, "before_cursor_execute", explain)
    return plans


def test_claims_and_reports_read_the_table_by_its_indexes(full: sa.Engine) -> None:
    with full.begin() as tx:
        plans = steps(tx, lambda: claim(tx, "test.work", worker="w", limit=100, now=NOW, lease=1))
        assert any("ix_job_waiting" in step for step in plans)
        jobs = claim(tx, "test.work", worker="w", limit=100, now=NOW, lease=1)
        plans += steps(tx, lambda: record(tx, [of_outcome(job, None) for job in jobs], now=NOW))
        plans += steps(tx, lambda: next_due(tx, ["test.work", "test.other"]))
    assert [step for step in plans if "SCAN job" in step or "Seq Scan on job" in step] == []


def test_a_backlog_of_later_jobs_is_not_read_through(full: sa.Engine) -> None:
    with full.begin() as tx:
        jobs = claim(tx, "test.work", worker="w", limit=100, now=NOW, lease=1)
        assert {job.priority for job in jobs} == {0}
        assert len(jobs) == 100
        assert next_due(tx, ["test.work"]) == {"test.work": NOW}


def test_what_is_told_of_a_dead_job() -> None:
    report = of_outcome(make(key="k"), None)._replace(state="dead", error="x")
    event = dead_event(report)
    assert (event.topic, event.severity) == (DEAD, "error")
    assert event.data == {"id": 1, "kind": "test.work", "key": "k", "attempts": 1, "error": "x"}
