from typing import Any

import sqlalchemy as sa

from signalbox.infra.db import Database
from signalbox.infra.jobs import Backlog, NewJob, Report, enqueue_many, read_backlog, read_summary
from signalbox.infra.jobs.queue import claim, record
from tests.infra.jobs.test_queue import NOW, steps


async def fill(database: Database) -> None:
    new = [NewJob(f"test.{'ab'[number % 2]}", {}, NOW + number) for number in range(10)]
    await database.write(enqueue_many, new, now=NOW)
    (first, second) = await database.write(claim, "test.a", worker="w", limit=2, now=NOW + 9, lease=9)
    reports = [Report(first, "dead", NOW, error="x"), Report(second, "done", NOW)]
    await database.write(record, reports, now=NOW)


async def test_what_waits_and_what_is_dead(database: Database) -> None:
    assert await database.read(read_backlog, [], most=9) == {}
    assert await database.read(read_backlog, ["test.a"], most=9) == {"test.a": Backlog(0, 0, None)}
    await fill(database)
    found = await database.read(read_backlog, ["test.a", "test.b"], most=9)
    assert found == {"test.a": Backlog(3, 1, NOW + 4), "test.b": Backlog(5, 0, NOW + 1)}
    assert await database.read(read_backlog, [], most=9) == {"test.a": Backlog(0, 1, None)}


async def test_no_more_is_counted_than_asked_for(database: Database) -> None:
    await fill(database)
    found = await database.read(read_backlog, ["test.a", "test.b"], most=2)
    assert [each.waiting for each in found.values()] == [2, 2]


async def test_a_summary_finds_the_kinds_by_itself(database: Database) -> None:
    assert await database.read(read_summary, most=9) == {}
    await fill(database)
    await database.write(claim, "test.b", worker="w", limit=1, now=NOW + 9, lease=9)
    found = await database.read(read_summary, most=9)
    assert found == {"test.a": Backlog(3, 1, NOW + 4), "test.b": Backlog(4, 0, NOW + 3, running=1)}


def test_a_look_reads_indexes_only(full: sa.Engine) -> None:
    with full.begin() as tx:
        kinds: Any = ["test.work", "test.other"]
        plans = steps(tx, lambda: read_backlog(tx, kinds, most=100))
        # most of this table waits: PostgreSQL rightly reads it from its beginning until it has its hundred
    assert [step for step in plans if "SCAN job" in step] == []
