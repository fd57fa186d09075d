"""The supervisor's own part; that workers serve, reload and are replaced is for tests/e2e."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from signalbox.app.load import Sources, load
from signalbox.app.settings import Settings
from signalbox.app.supervisor import settings_of_worker
from tests.support.databases import PostgresqlServer
from tests.support.processes import ADMIN_PASSWORD, SIGNALBOX, Command, Server, serving, started, until
from tests.support.timing import PATIENCE

pytestmark = pytest.mark.timeout(180)  # processes begin and end, beside whatever else the machine does


@pytest.fixture
def url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    with postgresql_server.database() as place:
        yield place.url


def workers(server: Server) -> set[int]:
    return {pid for pid, command in server.members().items() if "multiprocessing.spawn" in command}


def test_workers_do_not_outlive_a_supervisor_that_was_killed(url: str, tmp_path: Path) -> None:
    with serving("--workers", "2", folder=tmp_path, DATABASE_URL=url, TMPDIR=str(tmp_path)) as server:
        where = urlsplit(server.url)
        os.kill(server.process.pid, signal.SIGKILL)
        server.wait()
        until(lambda: server.members() == {})
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind((where.hostname, where.port))


def test_ending_while_workers_start_ends_them_all(url: str, tmp_path: Path) -> None:
    command: Command = [SIGNALBOX, "serve", "--port", "0", "--workers", "3"]
    variables = {"DATABASE_URL": url, "SIGNALBOX_ADMIN_PASSWORD": ADMIN_PASSWORD, "TMPDIR": str(tmp_path)}
    with started(command, folder=tmp_path / "here", **variables) as server:
        until(lambda: workers(server))
        assert server.end() == 0
        until(lambda: server.members() == {}, within=PATIENCE)
    assert [path.name for path in tmp_path.glob("signalbox-*")] == []


def test_each_worker_has_a_log_file_of_its_own(tmp_path: Path) -> None:
    def reload() -> Settings:
        return load({"log": {"file": tmp_path / "hub.log"}}, Sources())

    files = [settings_of_worker(index, reload).log.file for index in range(2)]
    assert files == [tmp_path / "hub-0.log", tmp_path / "hub-1.log"]
    assert settings_of_worker(0, lambda: load({}, Sources())).log.file is None
