"""What is the database's own of the limiter; what every limiter does is in ``tests/contracts/test_limits.py``."""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from signalbox.core.rates import Rate
from signalbox.core.times import HOUR
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db import Database
from signalbox.infra.db.sqlite import sqlite_engine
from signalbox.infra.limits.database import DatabaseLimiter, Windows, delete_ended_permits
from signalbox.infra.limits.tables import permit_log
from tests.support.databases import Place, PostgresqlServer, SqliteTemplate
from tests.support.processes import started, until

SECOND = 1_000_000
START = 1_767_225_600_000_000
FIVE = {"a": Rate(5, SECOND)}


@pytest.fixture
def sqlite(sqlite_template: SqliteTemplate, tmp_path: Path) -> Iterator[sa.Engine]:
    """SQLite, whose time tests can move."""
    engine = sqlite_engine(sqlite_template.copy_to(tmp_path).path)
    yield engine
    engine.dispose()


def take(
    engine: sa.Engine, windows: Windows, demands: dict[str, Rate], count: int, *, margin: int = 0
) -> tuple[int, int]:
    with engine.begin() as tx:
        taken = windows.lock(tx, demands).take(tx, demands, count=count, margin=margin)
    return taken.count, taken.retry_after


def test_several_are_granted_at_once_as_far_as_there_is_room(sqlite: sa.Engine, clock: ManualClock) -> None:
    windows = Windows(clock)
    assert take(sqlite, windows, FIVE, 3) == (3, 0)
    clock.advance(0.25)
    assert take(sqlite, windows, FIVE, 3) == (2, 750_000)
    assert take(sqlite, windows, FIVE, 3) == (0, 750_000)
    clock.advance(0.75)
    assert take(sqlite, windows, FIVE, 9) == (3, 250_000)


def test_the_margin_lengthens_the_window(sqlite: sa.Engine, clock: ManualClock) -> None:
    windows = Windows(clock)
    assert take(sqlite, windows, FIVE, 5, margin=100_000) == (5, 0)
    clock.advance(1.099_999)
    assert take(sqlite, windows, FIVE, 1) == (0, 1)
    clock.advance(0.000_001)
    assert take(sqlite, windows, FIVE, 1) == (1, 0)


def test_each_permit_counts_in_every_demand(sqlite: sa.Engine, clock: ManualClock) -> None:
    windows, both = Windows(clock), {**FIVE, "b": Rate(2, 10 * SECOND)}
    assert take(sqlite, windows, both, 4) == (2, 10 * SECOND)
    assert take(sqlite, windows, FIVE, 5) == (3, SECOND)


def test_what_is_to_be_kept_is_not_granted(sqlite: sa.Engine, clock: ManualClock) -> None:
    windows = Windows(clock)
    with sqlite.begin() as tx:
        taken = windows.lock(tx, FIVE).take(tx, FIVE, count=9, keep={"a": 2})
    assert (taken.count, taken.retry_after) == (3, SECOND)
    assert take(sqlite, windows, FIVE, 9) == (2, SECOND)


def test_a_transaction_that_is_undone_took_nothing(place: Place, clock: ManualClock) -> None:
    engine, windows = place.engine(), Windows(clock)
    with engine.connect() as tx:
        assert windows.lock(tx, FIVE).take(tx, FIVE, count=5).count == 5
        tx.rollback()
    assert take(engine, windows, FIVE, 5)[0] == 5
    engine.dispose()


def test_a_limit_that_changes_keeps_what_was_granted(sqlite: sa.Engine, clock: ManualClock) -> None:
    windows = Windows(clock)
    assert take(sqlite, windows, FIVE, 5) == (5, 0)
    assert take(sqlite, windows, {"a": Rate(7, SECOND)}, 9)[0] == 2
    assert take(sqlite, windows, {"a": Rate(1, SECOND)}, 9) == (0, SECOND)


def test_a_clock_that_was_set_back_frees_nothing_after_a_restart(sqlite: sa.Engine) -> None:
    late, early = ManualClock(START), ManualClock(START - HOUR)
    assert take(sqlite, Windows(late), FIVE, 5) == (5, 0)
    windows = Windows(early)
    assert take(sqlite, windows, FIVE, 1) == (0, SECOND)
    early.advance(3_600)
    assert take(sqlite, windows, FIVE, 1)[0] == 0
    early.advance(1)
    assert take(sqlite, windows, FIVE, 1)[0] == 1


def test_a_wall_clock_that_is_set_forward_frees_nothing_in_a_running_process(sqlite: sa.Engine) -> None:
    clock = ManualClock()
    windows = Windows(clock)
    assert take(sqlite, windows, FIVE, 5) == (5, 0)
    clock._now += HOUR
    assert take(sqlite, windows, FIVE, 1)[0] == 0


async def test_counters_are_swept_an_hour_after_they_are_over(database: Database) -> None:
    clock = SystemClock()
    limiter = DatabaseLimiter(database, clock)
    for name in "abc":
        await limiter.take({name: Rate(5, SECOND)})
    assert await database.write(delete_ended_permits, clock.now(), 10) == 0
    later = clock.now() + HOUR + 2 * SECOND
    assert await database.write(delete_ended_permits, later, 2) == 2
    assert await database.write(delete_ended_permits, later, 2) == 1
    assert await database.write(delete_ended_permits, later, 2) == 0
    assert await database.read(lambda tx: tx.execute(sa.select(permit_log)).all()) == []


async def test_many_who_ask_at_once_over_two_connections_get_the_limit(place: Place) -> None:
    databases, rate = [place.open(), place.open()], Rate(37, 600 * SECOND)
    limiters = [DatabaseLimiter(database, SystemClock()) for database in databases]
    verdicts = await asyncio.gather(*(limiters[number % 2].take({"a": rate}) for number in range(100)))
    assert sum(verdict.allowed for verdict in verdicts) == 37
    for database in databases:
        await database.close()


def most_in_a_window(times: list[int], length: int) -> int:
    times, start, most = sorted(times), 0, 0
    for end, at in enumerate(times):
        while times[start] <= at - length:
            start += 1
        most = max(most, end - start + 1)
    return most


def test_processes_together_never_use_more_than_the_limit_also_when_they_are_killed(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    with postgresql_server.database() as place, ExitStack() as stack:
        command = [sys.executable, "-m", "tests.support.limit_hammer", place.url, "api.test", "20/1s"]
        others = [stack.enter_context(started([*command, "6"], folder=tmp_path / name)) for name in ("one", "two")]
        victim = stack.enter_context(started([*command, "60"], folder=tmp_path / "victim"))
        for server in (*others, victim):
            until(lambda server=server: "hammering" in server.out)  # type: ignore[misc]
        time.sleep(1.5)
        assert victim.end(signal.SIGKILL) == -signal.SIGKILL
        assert [each.wait() for each in others] == [0, 0]
        times = [int(line) for each in (*others, victim) for line in each.out.splitlines()[1:] if line.isdigit()]
    assert most_in_a_window(times, 1_000_000_000) <= 20
    assert len(times) >= 20
