import asyncio
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from signalbox.infra.db import DatabaseDamagedError, DatabaseUnavailableError
from signalbox.infra.db.sqlite import DataVersion, Synchronous, open_sqlite, sqlite_engine

INSERT_ELSEWHERE = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('INSERT INTO item VALUES (1)'); c.commit()"
)
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with the table ``item``."""
    made = tmp_path / "some.db"
    engine = sqlite_engine(made)
    with engine.begin() as tx:
        tx.exec_driver_sql("CREATE TABLE item (id INTEGER PRIMARY KEY)")
    engine.dispose()
    return made


def pragma(tx: sa.Connection, name: str) -> object:
    return tx.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def insert(tx: sa.Connection, number: int) -> None:
    tx.exec_driver_sql("INSERT INTO item VALUES (?)", (number,))


def find_all(tx: sa.Connection) -> list[int]:
    return list(tx.exec_driver_sql("SELECT id FROM item ORDER BY id").scalars())


@pytest.mark.parametrize(("synchronous", "value"), [("FULL", 2), ("NORMAL", 1)])
async def test_the_file_is_in_wal_mode_and_commits_as_durably_as_asked(
    path: Path, synchronous: Synchronous, value: int
) -> None:
    database = open_sqlite(path, synchronous=synchronous)
    assert await database.write(pragma, "journal_mode") == "wal"
    assert await database.write(pragma, "synchronous") == value
    assert await database.write(pragma, "foreign_keys") == 1
    assert await database.write(pragma, "cache_size") == -32_000
    assert await database.read(pragma, "cache_size") == -2_000
    assert await database.read(pragma, "query_only") == 1
    await database.close()


@pytest.mark.parametrize("attempt", range(10))
def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path, attempt: int) -> None:
    together = threading.Barrier(8)

    def connect(engine: sa.Engine) -> object:
        together.wait(10)
        with engine.connect() as tx:
            return pragma(tx, "journal_mode")

    engines = [sqlite_engine(tmp_path / "new.db") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(connect, engines)) == ["wal"] * 8
    for engine in engines:
        engine.dispose()


async def test_a_commit_of_another_process_is_seen_by_the_next_read(path: Path) -> None:
    database = open_sqlite(path)
    assert await database.read(find_all) == []
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", INSERT_ELSEWHERE, str(path)], check=True)
    assert await database.read(find_all) == [1]
    await database.close()


async def test_a_write_waits_while_another_process_holds_the_lock(path: Path) -> None:
    database = open_sqlite(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO item VALUES (1)")
    writing = asyncio.create_task(database.write(insert, 2))
    done, _ = await asyncio.wait({writing}, timeout=0.2)
    assert not done
    assert await database.read(find_all) == []
    other.execute("COMMIT")
    await writing
    assert await database.read(find_all) == [1, 2]
    other.close()
    await database.close()


async def test_when_the_lock_is_not_given_up_all_writes_fail_together_and_later_ones_work(path: Path) -> None:
    database = open_sqlite(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writes = asyncio.gather(*(database.write(insert, number) for number in range(50)), return_exceptions=True)
    async with asyncio.timeout(40):  # twice the busy timeout: a first batch of one, and the others; else 50 times
        results = await writes
    assert {type(each) for each in results} == {DatabaseUnavailableError}
    other.execute("ROLLBACK")
    await database.write(insert, 1)
    assert await database.read(find_all) == [1]
    other.close()
    await database.close()


async def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "missing" / "some.db")
    with pytest.raises(DatabaseUnavailableError, match="unable to open"):
        await database.write(insert, 1)
    with pytest.raises(DatabaseUnavailableError, match="unable to open"):
        await database.read(find_all)
    await database.close()


def damage(path: Path, *, page: int) -> None:
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(b"\xff" * PAGE)


async def test_a_file_that_is_no_database_is_damaged(path: Path) -> None:
    damage(path, page=0)
    database = open_sqlite(path)
    for attempt in (database.write(insert, 1), database.read(find_all)):
        with pytest.raises(DatabaseDamagedError, match=r"some\.db is damaged"):
            await attempt
    await database.close()


async def test_a_page_that_is_damaged_is_told_when_it_is_read(path: Path) -> None:
    damage(path, page=1)
    database = open_sqlite(path)
    with pytest.raises(DatabaseDamagedError, match="malformed"):
        await database.read(find_all)
    await database.close()


def test_a_function_that_fails_in_a_plain_engine_is_rolled_back(path: Path) -> None:
    engine = sqlite_engine(path)

    def insert_and_fail() -> None:
        with engine.begin() as tx:
            insert(tx, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail()
    with engine.connect() as tx:
        assert find_all(tx) == []
    engine.dispose()


async def test_a_stamp_whose_connection_was_opened_again_is_another(path: Path) -> None:
    version, database = DataVersion(path), open_sqlite(path)
    before = await version.get(database)
    assert await version.get(database) == before
    version.close()
    assert await version.get(database) != before, "each connection counts from the same number on"
    version.close()
    await database.close()
