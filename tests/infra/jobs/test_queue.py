"""What only databases have; what every version does is in ``tests/contracts/test_jobs.py``."""

from typing import Any

import sqlalchemy as sa

from signalbox.infra.jobs import is_live
from signalbox.infra.jobs.outcomes import of_outcome
from signalbox.infra.jobs.queue import claim, next_due, record

NOW = 1_767_225_600_000_000


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
        plans += steps(tx, lambda: is_live(tx, "test.work", "7"))
    assert [step for step in plans if "SCAN job" in step or "Seq Scan on job" in step] == []


def test_a_backlog_of_later_jobs_is_not_read_through(full: sa.Engine) -> None:
    with full.begin() as tx:
        jobs = claim(tx, "test.work", worker="w", limit=100, now=NOW, lease=1)
        assert {job.priority for job in jobs} == {0}
        assert len(jobs) == 100
        assert next_due(tx, ["test.work"]) == {"test.work": NOW}
