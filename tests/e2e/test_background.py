"""Background work of real servers: what a drain waits for, and what ``kill -9`` leaves to the next one."""

import signal
from pathlib import Path
from typing import Any

import pytest

from signalbox.app.load import Sources, load
from signalbox.app.settings import Settings
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.jobs import StoredJob, enqueue, find_job
from tests.support.databases import PostgresqlServer
from tests.support.durable_hub import open_engine
from tests.support.processes import Server, python_server, until
from tests.support.working_hub import drop_table, read_entries

CLOCK = SystemClock()


def act(settings: Settings, fn: Any, *args: Any, **named: Any) -> Any:
    """Do something in the database beside the server."""
    engine = open_engine(settings)
    with engine.begin() as tx:
        done = fn(tx, *args, **named)
    engine.dispose()
    return done


def put(settings: Settings, seconds: float) -> int:
    number: int = act(settings, enqueue, "test.slow", {"seconds": seconds}, now=CLOCK.now())
    return number


def job(settings: Settings, number: int) -> StoredJob:
    found: StoredJob = act(settings, find_job, number)
    return found


def server_at(settings: Settings, folder: Path, **more: str) -> Any:
    assert settings.database_url is not None
    variables = {"SIGNALBOX_DATABASE_URL": settings.database_url.reveal(), **more}
    return python_server("tests.support.working_hub", folder=folder, **variables)


def begun(settings: Settings, count: int) -> list[Any]:
    """What jobs wrote down when they began, once there are so many."""
    found: list[Any] = until(lambda: (rows := list(read_entries(settings, "begun"))) and rows[count - 1 :] and rows)
    return found


def serves(server: Server) -> None:
    until(server.serves)


@pytest.fixture
def sqlite(tmp_path: Path) -> Settings:
    return load({"database_url": f"sqlite:///{tmp_path}/signalbox.db"}, Sources())


def test_sigterm_lets_a_running_job_finish_and_begins_no_other(sqlite: Settings, tmp_path: Path) -> None:
    with server_at(sqlite, tmp_path / "a") as server:
        serves(server)
        number = put(sqlite, 2)
        begun(sqlite, 1)
        server.send(signal.SIGTERM)
        until(lambda: server.logged("draining"))
        later = put(sqlite, 0)
        assert server.wait() == 0
    assert job(sqlite, number).state == "done"
    assert [row.job for row in read_entries(sqlite, "ended")] == [number]
    assert job(sqlite, later).state == "waiting"


def test_a_job_that_takes_longer_than_the_drain_runs_again_at_once(sqlite: Settings, tmp_path: Path) -> None:
    with server_at(sqlite, tmp_path / "a", SIGNALBOX_DRAIN_TIMEOUT="1") as server:
        serves(server)
        number = put(sqlite, 600)
        begun(sqlite, 1)
        assert server.end() == 0
    left = job(sqlite, number)
    assert (left.state, left.attempts) == ("waiting", 0)
    with server_at(sqlite, tmp_path / "b") as server:
        assert [row.attempt for row in begun(sqlite, 2)] == [1, 1]


def test_a_second_interrupt_waits_for_no_job(sqlite: Settings, tmp_path: Path) -> None:
    with server_at(sqlite, tmp_path / "a", SIGNALBOX_DRAIN_TIMEOUT="600") as server:
        serves(server)
        number = put(sqlite, 600)
        begun(sqlite, 1)
        server.send(signal.SIGINT)
        until(lambda: server.logged("draining"))
        assert server.end(signal.SIGINT) == 0
    assert job(sqlite, number).state == "waiting"


def test_what_ran_at_kill_9_runs_again_at_once_on_sqlite(sqlite: Settings, tmp_path: Path) -> None:
    with server_at(sqlite, tmp_path / "a") as server:
        serves(server)
        number = put(sqlite, 600)
        begun(sqlite, 1)
        server.send(signal.SIGKILL)
        server.wait()
    left = job(sqlite, number)
    assert left.state == "running"
    with server_at(sqlite, tmp_path / "b"):
        assert [row.attempt for row in begun(sqlite, 2)] == [1, 2]
    assert job(sqlite, number).claim == 2


def test_what_ran_at_kill_9_goes_to_another_process_when_its_lease_ends(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    with postgresql_server.database() as place:
        settings = load({"database_url": place.url}, Sources())
        with server_at(settings, tmp_path / "a") as first, server_at(settings, tmp_path / "b") as second:
            serves(first)
            serves(second)
            number = put(settings, 600)
            begun(settings, 1)
            worker = job(settings, number).worker
            assert worker is not None
            killed = next(server for server in (first, second) if f"/{server.process.pid}/" in worker)
            killed.send(signal.SIGKILL)
            assert [row.attempt for row in begun(settings, 2)] == [1, 2]
            assert job(settings, number).worker != worker
        drop_table(settings)
