import asyncio
import random
import threading

import pytest
import sqlalchemy as sa

from signalbox.core.errors import ConflictError
from signalbox.infra.db import Database, after_commit, single_statement
from tests.support.databases import Place

Calls = list[str]


def note(tx: sa.Connection, calls: Calls, name: str) -> None:
    after_commit(tx, lambda: calls.append(name))


def refuse(tx: sa.Connection, calls: Calls, *, writes: bool) -> None:
    note(tx, calls, "never")
    if writes:
        tx.exec_driver_sql("INSERT INTO event (topic, severity, data, created_at) VALUES ('a.b', 'info', '{}', 0)")
    msg = "no"
    raise ConflictError(msg)


async def test_what_follows_a_commit_has_run_when_the_write_returns(database: Database) -> None:
    calls: Calls = []
    await database.write(note, calls, "a")
    assert calls == ["a"]
    await database.write(lambda tx: [note(tx, calls, name) for name in "bc"])  # type: ignore[func-returns-value]
    assert calls == ["a", "b", "c"]


async def test_it_runs_after_the_commit_and_not_in_the_event_loop(database: Database, place: Place) -> None:
    engine, seen = place.engine(), list[int]()

    def count() -> None:
        assert threading.current_thread() is not threading.main_thread()
        with engine.connect() as tx:
            seen.append(tx.exec_driver_sql("SELECT count(*) FROM event").scalar_one())

    def write(tx: sa.Connection) -> None:
        tx.exec_driver_sql("INSERT INTO event (topic, severity, data, created_at) VALUES ('a.b', 'info', '{}', 0)")
        after_commit(tx, count)

    def read_in_another(tx: sa.Connection) -> None:
        after_commit(tx, lambda: None)

    await database.write(write)
    await database.write(read_in_another)
    engine.dispose()
    assert seen == [1]


@pytest.mark.parametrize("writes", [False, True])
async def test_nothing_follows_what_failed_and_its_batch_is_told_once(database: Database, writes: bool) -> None:
    calls: Calls = []
    good = [database.write(note, calls, str(number)) for number in range(40)]
    bad = [database.write(refuse, calls, writes=writes) for _ in range(10)]
    mixed = [*good, *bad]
    random.Random(1).shuffle(mixed)
    await asyncio.gather(*mixed, return_exceptions=True)
    await database.write(note, calls, "end")
    assert sorted(calls) == sorted([*map(str, range(40)), "end"])


async def test_a_call_that_fails_harms_neither_its_caller_nor_others(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    calls: Calls = []

    def write(tx: sa.Connection) -> str:
        after_commit(tx, lambda: calls.index("nothing"))  # type: ignore[arg-type]
        note(tx, calls, "a")
        return "written"

    assert await database.write(write) == "written"
    assert calls == ["a"]
    assert "what was to follow a transaction failed" in caplog.text


async def test_where_nobody_runs_them_calls_are_dropped(place: Place) -> None:
    calls: Calls = []
    engine = place.engine()
    with engine.begin() as tx:
        note(tx, calls, "a")
    engine.dispose()
    assert calls == []


@pytest.mark.parametrize("alone", [True, False])
async def test_a_single_statement_is_written_alone_or_beside_others(database: Database, *, alone: bool) -> None:
    @single_statement
    def add(tx: sa.Connection, number: int) -> int:
        tx.exec_driver_sql(
            f"INSERT INTO event (topic, severity, data, created_at) VALUES ('a.b', 'info', '{{}}', {number})"
        )
        return number

    def stored(tx: sa.Connection) -> set[int]:
        return set(tx.exec_driver_sql("SELECT created_at FROM event").scalars())

    numbers = range(1 if alone else 20)
    assert await asyncio.gather(*(database.write(add, number) for number in numbers)) == list(numbers)
    assert await database.read(single_statement(stored)) == set(numbers)
