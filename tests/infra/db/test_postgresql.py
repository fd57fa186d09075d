import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from signalbox.infra.db import CommitUnknownError, DatabaseUnavailableError, single_statement
from signalbox.infra.db.bulk import insert_rows
from signalbox.infra.db.database import SqlDatabase
from signalbox.infra.db.postgresql import READERS, WRITERS, open_postgresql
from tests.support.databases import PostgresqlPlace, PostgresqlServer
from tests.support.timing import PATIENCE

_metadata = sa.MetaData()
item = sa.Table("item", _metadata, sa.Column("id", sa.BigInteger, primary_key=True))


@pytest.fixture
def place(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlPlace]:
    """A database with the table ``item``."""
    with postgresql_server.database() as made:
        _change(made, _metadata.create_all)
        yield made
        _change(made, _metadata.drop_all)


def _change(place: PostgresqlPlace, change: Callable[[sa.Engine], None]) -> None:
    engine = place.engine()
    change(engine)
    engine.dispose()


@pytest.fixture
async def database(place: PostgresqlPlace) -> AsyncIterator[SqlDatabase]:
    opened = place.open()
    yield opened
    await opened.close()


def insert(tx: sa.Connection, number: int) -> int:
    tx.execute(item.insert().values(id=number))
    return number


def copy(tx: sa.Connection, *numbers: int) -> None:
    insert_rows(tx, item, ("id",), [(number,) for number in numbers])


def find_all(tx: sa.Connection) -> list[int]:
    return list(tx.execute(sa.select(item.c.id).order_by(item.c.id)).scalars())


def setting(tx: sa.Connection, name: str) -> str:
    return str(tx.execute(sa.select(sa.func.current_setting(name))).scalar_one())


def throw_out(place: PostgresqlPlace) -> int:
    """End every other connection to the database and wait until they are gone; how many it were."""
    engine = place.engine()
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect() as tx:
        count = len(tx.exec_driver_sql(f"SELECT pg_terminate_backend(pid, 5000) {others}").all())
    engine.dispose()
    return count


async def occupy_all(database: SqlDatabase) -> None:
    """Have a connection opened by every thread."""

    def pause(tx: sa.Connection) -> None:
        tx.exec_driver_sql("SELECT pg_sleep(0.1)")

    for run, count in ((database.write, WRITERS), (database.read, READERS)):
        tasks = []
        for _ in range(count):
            tasks.append(asyncio.create_task(run(pause)))
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks)


async def test_what_a_connection_is_set_to(database: SqlDatabase) -> None:
    assert await database.write(setting, "timezone") == "UTC"
    assert await database.write(setting, "statement_timeout") == "30s"
    assert await database.write(setting, "application_name") == "signalbox"
    assert await database.read(setting, "transaction_read_only") == "on"
    assert await database.read(setting, "transaction_isolation") == "repeatable read"


async def test_the_next_write_and_read_work_after_the_server_closed_their_connections(
    place: PostgresqlPlace, database: SqlDatabase
) -> None:
    await occupy_all(database)
    for number in range(3):
        assert await asyncio.to_thread(throw_out, place) > 0
        assert await database.write(insert, number) == number
        assert await database.read(find_all) == list(range(number + 1))


async def test_many_writes_at_once_work_after_the_server_closed_all_connections(
    place: PostgresqlPlace, database: SqlDatabase
) -> None:
    await occupy_all(database)
    assert await asyncio.to_thread(throw_out, place) >= WRITERS + READERS
    await asyncio.gather(*(database.write(insert, number) for number in range(100)))
    assert await database.read(find_all) == list(range(100))


async def test_a_copy_notices_the_closed_connection_as_other_statements_do(
    place: PostgresqlPlace, database: SqlDatabase
) -> None:
    await occupy_all(database)
    for number in range(0, 30, 3):
        await asyncio.to_thread(throw_out, place)
        await database.write(copy, number, number + 1, number + 2)
    assert await database.read(find_all) == list(range(30))


async def test_a_connection_that_breaks_before_commit_leaves_it_unknown(
    place: PostgresqlPlace, database: SqlDatabase
) -> None:
    def insert_and_be_thrown_out(tx: sa.Connection) -> None:
        insert(tx, 1)
        throw_out(place)

    with pytest.raises(CommitUnknownError):
        await database.write(insert_and_be_thrown_out)
    assert await database.write(insert, 2) == 2
    assert await database.read(find_all) == [2]


async def test_a_connection_that_breaks_in_mid_function_is_replaced_once(
    place: PostgresqlPlace, database: SqlDatabase
) -> None:
    runs = 0

    def be_thrown_out(tx: sa.Connection, until_run: int) -> int:
        nonlocal runs
        runs += 1
        insert(tx, runs)
        if runs < until_run:
            throw_out(place)
        return insert(tx, 10 * runs)

    assert await database.write(be_thrown_out, 2) == 20
    with pytest.raises(DatabaseUnavailableError):
        await database.write(be_thrown_out, 9)
    assert runs == 4
    assert await database.read(find_all) == [2, 20]


async def test_a_runaway_statement_is_ended_and_told_as_unavailable(database: SqlDatabase) -> None:
    def run_away(tx: sa.Connection) -> None:
        tx.exec_driver_sql("SET LOCAL statement_timeout = 50")
        tx.exec_driver_sql("SELECT pg_sleep(30)")

    with pytest.raises(DatabaseUnavailableError, match="statement timeout"):
        await database.write(run_away)
    assert await database.write(insert, 1) == 1


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which every connection is refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port at which connections are accepted and never answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        yield int(listening.getsockname()[1])


async def test_an_absent_server_is_told_at_once(closed_port: int) -> None:
    database = open_postgresql(f"postgresql://hub@127.0.0.1:{closed_port}/hub")
    async with asyncio.timeout(PATIENCE):
        results = await asyncio.gather(
            *(database.write(insert, number) for number in range(300)),
            *(database.read(find_all) for _ in range(300)),
            return_exceptions=True,
        )
    assert {type(each) for each in results} == {DatabaseUnavailableError}
    await database.close()


async def test_a_silent_server_is_felt_once_however_many_wait(silent_port: int) -> None:
    database = open_postgresql(f"postgresql://hub@127.0.0.1:{silent_port}/hub")
    async with asyncio.timeout(PATIENCE):  # not the connect timeout for each
        results = await asyncio.gather(
            *(database.write(insert, number) for number in range(300)),
            *(database.read(find_all) for _ in range(300)),
            return_exceptions=True,
        )
    assert {type(each) for each in results} == {DatabaseUnavailableError}
    await database.close()


async def test_a_server_that_comes_back_is_used_again(
    postgresql_server: PostgresqlServer, place: PostgresqlPlace, database: SqlDatabase
) -> None:
    await database.write(insert, 1)
    with postgresql_server.closed(place):
        with pytest.raises(DatabaseUnavailableError):
            await database.write(insert, 2)
        with pytest.raises(DatabaseUnavailableError):
            await database.read(find_all)
    assert await database.write(insert, 3) == 3
    assert await database.read(find_all) == [1, 3]


def test_a_wrong_password_is_not_in_the_message(closed_port: int) -> None:
    async def ask() -> None:
        database = open_postgresql(f"postgresql://hub:hunter2@127.0.0.1:{closed_port}/hub")
        with pytest.raises(DatabaseUnavailableError) as caught:
            await database.read(find_all)
        assert "hunter2" not in str(caught.value)
        await database.close()

    asyncio.run(ask())


@single_statement
def insert_alone(tx: sa.Connection, number: int) -> bool:
    insert(tx, number)
    return commits_itself(tx)


def commits_itself(tx: sa.Connection) -> bool:
    connection = tx.connection.driver_connection
    assert connection is not None
    return bool(connection.autocommit)


async def test_a_single_statement_commits_itself_unless_it_shares_its_transaction(database: SqlDatabase) -> None:
    assert await database.write(insert_alone, 1)
    assert not await database.write(commits_itself), "the connection is as before"
    with pytest.raises(IntegrityError):
        await database.write(insert_alone, 1)
    await database.write(copy, 2, 3)
    assert await database.read(find_all) == [1, 2, 3]
    assert await database.read(single_statement(commits_itself))
    assert await database.read(setting, "transaction_isolation") == "repeatable read"


async def test_a_single_statement_that_was_cut_off_may_have_been_made(database: SqlDatabase) -> None:
    @single_statement
    def die(tx: sa.Connection) -> None:
        tx.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(CommitUnknownError):
        await database.write(die)
    assert await database.write(insert_alone, 4)
