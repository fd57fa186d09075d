"""``kill -9`` of workers at random moments: no job is lost, none is done twice, and one that kills them ends dead."""

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from signalbox.infra.events import find_events
from signalbox.infra.jobs import NewJob, enqueue_many, find_jobs
from signalbox.infra.jobs.tables import job
from tests.support.databases import PostgresqlServer, SqliteTemplate
from tests.support.job_worker import note, open_engine
from tests.support.processes import Server, started, until

ROUNDS = int(os.environ.get("SIGNALBOX_TEST_CRASH_ROUNDS", "4"))
"""50 for a thorough run."""
MANY = 20
JOBS = 150
"""In each round."""
WORKERS = {"sqlite": 1, "postgresql": 2}
ALL = 100_000


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database with a table for notes."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            template: SqliteTemplate = request.getfixturevalue("sqlite_template")
            address = f"sqlite:///{template.copy_to(tmp_path).path}"
        else:
            server: PostgresqlServer = request.getfixturevalue("postgresql_server")
            address = stack.enter_context(server.database()).url
        engine = open_engine(address)
        note.create(engine)
        yield address
        note.drop(engine)
        engine.dispose()


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    made = open_engine(url)
    yield made
    made.dispose()


def start(stack: ExitStack, url: str, folder: Path, name: str) -> Server:
    command = [sys.executable, "-m", "tests.support.job_worker", url, name]
    return stack.enter_context(started(command, folder=folder / name))


def put(engine: sa.Engine, kind: str, count: int, **more: int) -> None:
    with engine.begin() as tx:
        now = time.time_ns() // 1_000
        assert enqueue_many(tx, [NewJob(kind, {}, **more)] * count, now=now) == count  # type: ignore[arg-type]


def count(engine: sa.Engine, state: str) -> int:
    with engine.connect() as tx:
        return int(tx.execute(sa.select(sa.func.count()).where(job.c.state == state)).scalar_one())


def noted(engine: sa.Engine) -> int:
    with engine.connect() as tx:
        return tx.execute(sa.select(sa.func.count()).select_from(note)).scalar_one()


def check_all_done_once(engine: sa.Engine, jobs: int) -> int:
    """Every job is done and has one note, of its last claim; how many needed more than one attempt."""
    with engine.connect() as tx:
        stored = {each.id: each for each in find_jobs(tx, kind="test.note", limit=ALL)}
        notes = [tuple(row) for row in tx.execute(sa.select(note.c.job, note.c.claim))]
    assert len(stored) == jobs
    assert {each.state for each in stored.values()} == {"done"}
    assert sorted(notes) == sorted((each.id, each.claim) for each in stored.values())
    return sum(each.claim > 1 for each in stored.values())


@pytest.mark.timeout(120 + 5 * ROUNDS)
def test_no_job_is_lost_and_none_is_done_twice(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    dice, jobs = random.Random(), 0
    workers = WORKERS[engine.dialect.name]
    with ExitStack() as stack:
        survivors: list[Server] = []
        for number in range(ROUNDS):
            while len(survivors) < workers:
                survivors.append(start(stack, url, tmp_path, f"worker-{number}-{len(survivors)}"))
            for worker in survivors:
                until(lambda worker=worker: "working" in worker.out)  # type: ignore[misc]
            before = noted(engine)
            put(engine, "test.note", JOBS, max_attempts=1_000)
            jobs += JOBS
            until(lambda before=before: noted(engine) > before)  # type: ignore[misc]
            time.sleep(dice.uniform(0, 0.02))
            victim = survivors.pop(0)
            assert victim.end(signal.SIGKILL) == -signal.SIGKILL
        last = start(stack, url, tmp_path, "last")
        until(lambda: "working" in last.out)
        until(lambda: count(engine, "done") == jobs, within=30)
        assert last.end() == 0
        repeated = check_all_done_once(engine, jobs)
    if ROUNDS >= MANY:  # of few rounds, all may by chance have ended between two claims
        assert repeated > 0, "no worker was killed in the middle of its work"


def test_a_job_that_kills_its_workers_ends_dead_and_blocks_no_other(
    url: str, engine: sa.Engine, tmp_path: Path
) -> None:
    put(engine, "test.poison", 1, max_attempts=3)
    put(engine, "test.note", JOBS, max_attempts=1_000)
    with ExitStack() as stack:
        for number in range(3):
            worker = start(stack, url, tmp_path, f"worker-{number}")
            assert worker.wait() == -signal.SIGKILL
        last = start(stack, url, tmp_path, "last")
        until(lambda: count(engine, "dead") == 1 and count(engine, "done") == JOBS)
        assert last.end() == 0
    check_all_done_once(engine, JOBS)
    with engine.connect() as tx:
        (poison,) = find_jobs(tx, kind="test.poison", limit=9)
        (event,) = find_events(tx, topic="job.dead", limit=9)
    assert (poison.state, poison.attempts) == ("dead", 3)
    assert event.data["id"] == poison.id
