import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from signalbox.gateway import models
from signalbox.gateway.call_blocks import find_calls, insert_blocks, pack
from signalbox.gateway.schemas import Call, Filters
from signalbox.infra.db.migrate import History, NewerDatabaseError, _config, current, upgrade
from signalbox.infra.db.postgresql import postgresql_engine
from signalbox.infra.db.sqlite import sqlite_engine
from signalbox.infra.db.tables import calls
from tests.support.databases import POSTGRESQL_URL, POSTGRESQL_VARIABLE, Place, SqlitePlace

START = 1_700_000_000_000_000
HISTORIES: tuple[History, ...] = ("main", "calls")
MIGRATIONS = Path(sys.modules["signalbox"].__path__[0]) / "migrations"
UPGRADE_ELSEWHERE = """
import sys
from pathlib import Path
from signalbox.infra.db.migrate import upgrade
from signalbox.infra.db.postgresql import postgresql_engine
from signalbox.infra.db.sqlite import sqlite_engine
kind, where = sys.argv[1:]
engine = sqlite_engine(Path(where)) if kind == "sqlite" else postgresql_engine(where)
print("ready", flush=True)
sys.stdin.readline()
print(*(upgrade(engine, "main")), flush=True)
"""


class Empty:
    """An empty database: what to open it with, here and in another process."""

    def __init__(self, kind: str, where: str) -> None:
        self.kind, self.where = kind, where
        self._engines: list[sa.Engine] = []

    def engine(self) -> sa.Engine:
        """One more engine on it."""
        made = sqlite_engine(Path(self.where)) if self.kind == "sqlite" else postgresql_engine(self.where)
        self._engines.append(made)
        return made

    def dispose(self) -> None:
        for engine in self._engines:
            engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Empty]:
    """A database without any table."""
    if request.param == "sqlite":
        made = Empty("sqlite", str(tmp_path / "empty.db"))
        yield made
        made.dispose()
        return
    request.getfixturevalue("postgresql_server")
    yield from _empty_postgresql()


def _empty_postgresql() -> Iterator[Empty]:
    name = f"signalbox_empty_{uuid4().hex[:12]}"
    server = sa.make_url(os.environ.get(POSTGRESQL_VARIABLE) or POSTGRESQL_URL)
    admin = sa.create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        made = Empty("postgresql", server.set(database=name).render_as_string(hide_password=False))
        yield made
        made.dispose()
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


def head(history: History) -> str | None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", str(MIGRATIONS / history))
    return ScriptDirectory.from_config(config).get_current_head()


def tables(engine: sa.Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


def test_both_histories_make_their_tables_from_nothing_in_one_database(empty: Empty) -> None:
    engine = empty.engine()
    assert tables(engine) == set()
    for history in HISTORIES:
        assert upgrade(engine, history) == (None, head(history))
        with engine.connect() as tx:
            assert current(tx, history) == head(history) is not None
    assert tables(engine) >= {"users", "audit", *calls.tables, "alembic_version_main", "alembic_version_calls"}


def test_a_second_time_changes_nothing(empty: Empty) -> None:
    engine = empty.engine()
    upgrade(engine, "calls")
    before = tables(engine)
    assert upgrade(engine, "calls") == (head("calls"), head("calls"))
    assert tables(engine) == before


def test_an_empty_database_stands_at_no_revision(empty: Empty) -> None:
    with empty.engine().connect() as tx:
        assert current(tx, "main") is None


def test_one_of_many_threads_upgrades_and_the_others_find_it_done(empty: Empty) -> None:
    together = threading.Barrier(4)

    def run(engine: sa.Engine) -> tuple[str | None, str | None]:
        together.wait(10)
        return upgrade(engine, "main")

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, [empty.engine() for _ in range(4)]))
    assert sorted(results, key=str) == [(head("main"), head("main"))] * 3 + [(None, head("main"))]


def test_one_of_two_processes_upgrades_and_the_other_finds_it_done(empty: Empty) -> None:
    processes = [_start_elsewhere(empty) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = sorted(process.communicate(timeout=30)[0].split() for process in processes)
    assert answers == [[head("main"), head("main")], ["None", head("main")]]
    assert [process.returncode for process in processes] == [0, 0]


def _start_elsewhere(empty: Empty) -> Any:
    arguments = [sys.executable, "-c", UPGRADE_ELSEWHERE, empty.kind, empty.where]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("history", HISTORIES)
def test_a_failing_revision_leaves_the_database_as_it_was(empty: Empty, history: History) -> None:
    engine = empty.engine()
    existing = {"main": "audit", "calls": max(calls.tables)}[history]
    with engine.begin() as tx:
        tx.exec_driver_sql(f"CREATE TABLE {existing} (x INTEGER)")
    with pytest.raises(sa.exc.DBAPIError, match="already exists"):
        upgrade(engine, history)
    assert tables(engine) == {existing}
    with engine.begin() as tx:
        tx.exec_driver_sql(f"DROP TABLE {existing}")
    assert upgrade(engine, history) == (None, head(history))


def test_the_schema_of_statistics_is_what_the_models_say(place: Place) -> None:
    def known(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
        return kind != "table" or name in calls.tables

    assert models.call_block.metadata is calls
    engine = sqlite_engine(place.folder / "calls.db") if isinstance(place, SqlitePlace) else place.engine()
    options = {"version_table": "alembic_version_calls", "include_object": known, "compare_type": True}
    assert set(calls.tables) <= tables(engine)
    with engine.connect() as tx:
        assert compare_metadata(MigrationContext.configure(tx, opts=options), calls) == []
    engine.dispose()


def test_the_index_of_failed_calls_holds_only_those(empty: Empty) -> None:
    """Comparing schemas does not compare conditions of indexes."""
    engine = empty.engine()
    upgrade(engine, "calls")
    (index,) = (each for each in sa.inspect(engine).get_indexes("call_block") if each["name"] == "ix_call_block_failed")
    assert "failed_to IS NOT NULL" in str(list(map(str, index["dialect_options"].values())))


@pytest.mark.parametrize("history", HISTORIES)
def test_a_database_of_a_newer_version_is_left_alone(empty: Empty, history: History) -> None:
    engine = empty.engine()
    upgrade(engine, history)
    with engine.begin() as tx:
        tx.execute(sa.text(f"UPDATE alembic_version_{history} SET version_num = 'future_9'"))
    with pytest.raises(NewerDatabaseError, match=r"newer version \(future_9\)"):
        upgrade(engine, history)
    with engine.connect() as tx:
        assert current(tx, history) == "future_9"


def test_calls_that_were_rows_are_packed_and_none_is_lost(empty: Empty) -> None:
    engine = empty.engine()
    with _config("calls") as config, engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "calls_0002")
    rows = [
        Call(
            START + number, f"/{number}", "/{id}", "shop", "GET", 404 if number == 700 else 200, 5, 0, 9, "", None, "r"
        )
        for number in range(1_300)
    ]
    table = sa.table("call", *map(sa.column, Call._fields))
    with engine.begin() as tx:
        tx.execute(sa.insert(table), [row._asdict() for row in rows])
    upgrade(engine, "calls")
    with engine.begin() as tx:
        assert [call for _, call in find_calls(tx, Filters(), before=None, limit=10_000)] == rows[::-1]
        assert [call for _, call in find_calls(tx, Filters(status=(400, 499)), before=None, limit=9)] == [rows[700]]
        insert_blocks(tx, pack(rows[:1]))  # new blocks go on behind the packed ones
        assert [call for _, call in find_calls(tx, Filters(), before=None, limit=2)] == [rows[0], rows[-1]]
