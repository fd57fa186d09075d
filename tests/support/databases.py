"""Databases for tests: real ones, fresh for every test.

On SQLite a test gets a copy of a migrated file, on PostgreSQL a database that is emptied after each use. Both are
migrated once for each run, so that a test pays milliseconds.
"""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from signalbox.infra.db import Dialect
from signalbox.infra.db.database import SqlDatabase
from signalbox.infra.db.migrate import upgrade
from signalbox.infra.db.postgresql import open_postgresql, postgresql_engine
from signalbox.infra.db.sqlite import open_sqlite, sqlite_engine
from tests.support.timing import PATIENCE

POSTGRESQL_VARIABLE = "SIGNALBOX_TEST_POSTGRESQL_URL"
POSTGRESQL_URL = "postgresql://postgres@127.0.0.1:5432/postgres"


class ServerMissingError(Exception):
    """There is no PostgreSQL to test with."""


class Place(Protocol):
    """Where a test's databases are; one test may open them several times, as several processes would."""

    @property
    def dialect(self) -> Dialect: ...

    def open(self) -> SqlDatabase:
        """Open the main database; whoever opens it closes it."""
        ...

    def open_calls(self) -> SqlDatabase:
        """Open the database of statistics."""
        ...

    def engine(self) -> sa.Engine:
        """A plain engine on the main database; whoever asks for it disposes of it."""
        ...


@dataclass(frozen=True)
class SqlitePlace:
    """Two files in a folder."""

    folder: Path
    dialect: Dialect = "sqlite"

    @property
    def path(self) -> Path:
        return self.folder / "main.db"

    def open(self) -> SqlDatabase:
        return open_sqlite(self.path)

    def open_calls(self) -> SqlDatabase:
        return open_sqlite(self.folder / "calls.db", synchronous="NORMAL")

    def engine(self) -> sa.Engine:
        return sqlite_engine(self.path)


@dataclass(frozen=True)
class PostgresqlPlace:
    """One database on a server."""

    url: str
    dialect: Dialect = "postgresql"

    def open(self) -> SqlDatabase:
        return open_postgresql(self.url)

    def open_calls(self) -> SqlDatabase:
        return open_postgresql(self.url)

    def engine(self) -> sa.Engine:
        return postgresql_engine(self.url)


class SqliteTemplate:
    """Migrated files to copy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for history in ("main", "calls"):
            engine = sqlite_engine(folder / f"{history}.db")
            upgrade(engine, history)
            engine.dispose()

    def copy_to(self, folder: Path) -> SqlitePlace:
        for name in ("main.db", "calls.db"):
            shutil.copyfile(self._folder / name, folder / name)
        return SqlitePlace(folder)


class PostgresqlServer:
    """A server on which tests are lent databases; ``close`` drops them.

    They are emptied and lent again: to create one takes half a second on a busy disk.
    """

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)
        self._prefix = f"signalbox_test_{uuid4().hex[:12]}"
        self._admin = sa.create_engine(
            self._url.set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
            connect_args={"connect_timeout": round(PATIENCE)},
        )
        self._made: dict[str, sa.Engine] = {}
        self._free: list[str] = []
        self._touched = ""
        """The query for the tables that a test has changed."""
        self._seeded: list[str] = []
        """Tables that migrations put something in."""
        self._check()

    @contextmanager
    def database(self) -> Iterator[PostgresqlPlace]:
        """A database of one's own with the newest schema and nothing in it but what migrations put there."""
        name = self._free.pop() if self._free else self._create()
        try:
            yield PostgresqlPlace(self._at(name))
        finally:
            self._empty(name)
            self._free.append(name)

    @contextmanager
    def closed(self, place: PostgresqlPlace) -> Iterator[None]:
        """Throw everybody out of a database and let nobody in for a while, as if the server were away."""
        name = sa.make_url(place.url).database
        self._execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            self._execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            yield
        finally:
            self._execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def close(self) -> None:
        for name, engine in self._made.items():
            engine.dispose()
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")
        self._admin.dispose()

    def _check(self) -> None:
        try:
            self._execute("SELECT 1")
        except OperationalError as error:
            self._admin.dispose()
            where = self._url.render_as_string(hide_password=True)
            msg = f"no PostgreSQL answers at {where}; run `make services`, or set {POSTGRESQL_VARIABLE}"
            raise ServerMissingError(msg) from error

    def _create(self) -> str:
        name = f"{self._prefix}_{len(self._made)}"
        self._execute(f"CREATE DATABASE {name}")
        # tests do not pull the plug: what is committed need not be on the disk before they go on
        self._execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        url = self._url.set(drivername="postgresql+psycopg", database=name)
        engine = self._made[name] = sa.create_engine(url, pool_pre_ping=True)  # tests break connections on purpose
        upgrade(engine, "main")
        upgrade(engine, "calls")
        with engine.begin() as tx:
            tx.exec_driver_sql("CREATE SCHEMA seed")
            for table in _tables(tx):
                tx.exec_driver_sql(f'CREATE TABLE seed."{table}" AS TABLE public."{table}"')
            self._seeded = [each for each in _tables(tx) if tx.exec_driver_sql(f'TABLE seed."{each}"').first()]
            self._touched = _touched(tx, self._seeded)
        return name

    def _empty(self, name: str) -> None:
        """What a failed test left in the middle of a transaction goes first: it would hold locks.

        Only what was touched is emptied: on a busy disk, to truncate all tables takes longer than most tests.
        """
        stuck = f"datname = '{name}' AND starts_with(state, 'idle in transaction')"
        self._execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {stuck}")
        with self._made[name].begin() as tx:
            if tables := tx.exec_driver_sql(self._touched).scalars().all():
                tx.exec_driver_sql(f"TRUNCATE {', '.join(map(_quoted, tables))} RESTART IDENTITY CASCADE")
            for table in self._seeded:
                tx.exec_driver_sql(
                    f'INSERT INTO public."{table}" SELECT * FROM seed."{table}"'
                    f' WHERE NOT EXISTS (SELECT FROM public."{table}")'
                )

    def _execute(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.exec_driver_sql(statement)

    def _at(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)


def _tables(tx: sa.Connection, schema: str = "public") -> list[str]:
    found = tx.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", (schema,))
    return [name for name in found.scalars() if not name.startswith("alembic_version")]


def _touched(tx: sa.Connection, seeded: Collection[str]) -> str:
    """A query for the tables that hold something else than migrations put there, or have given out numbers."""
    owned = tx.exec_driver_sql(
        "SELECT owner.relname, sequence.relname FROM pg_class sequence"
        " JOIN pg_depend ON objid = sequence.oid AND deptype IN ('a', 'i') JOIN pg_class owner ON owner.oid = refobjid"
        " WHERE sequence.relkind = 'S'"
    )
    sequences = {row[0]: row[1] for row in owned}
    return " UNION ALL ".join(
        f"SELECT '{table}' WHERE {_holds(table, seeded=table in seeded)}"
        + (f' OR (SELECT is_called FROM public."{sequences[table]}")' if table in sequences else "")
        for table in _tables(tx)
    )


def _holds(table: str, *, seeded: bool) -> str:
    """The condition that a table is not as migrations left it."""
    if not seeded:
        return f'EXISTS (SELECT FROM public."{table}")'
    now, before = f'TABLE public."{table}"', f'TABLE seed."{table}"'
    return f"EXISTS ({now} EXCEPT ALL {before}) OR EXISTS ({before} EXCEPT ALL {now})"


def _quoted(table: str) -> str:
    return f'public."{table}"'


def open_postgresql_server() -> PostgresqlServer:
    """The server to test with, from ``SIGNALBOX_TEST_POSTGRESQL_URL`` or the standard port.

    Raises:
        ServerMissingError: it does not answer.
    """
    return PostgresqlServer(os.environ.get(POSTGRESQL_VARIABLE) or POSTGRESQL_URL)
