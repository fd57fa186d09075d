"""``signalbox serve --workers 2`` on PostgreSQL."""

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import Shop
from tests.support.databases import PostgresqlPlace, PostgresqlServer
from tests.support.processes import Server, ask, serving, sign_in, until


@pytest.fixture(scope="module")
def place(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlPlace]:
    with postgresql_server.database() as lent:
        yield lent


@pytest.fixture
def server(place: PostgresqlPlace, shop: Shop, tmp_path: Path) -> Iterator[Server]:
    """Two workers on one port."""
    variables = {**shop.variables, "SIGNALBOX_DATABASE_URL": place.url}
    with serving("--workers", "2", folder=tmp_path, **variables) as started:
        yield started


def workers(server: Server) -> set[int]:
    return {pid for pid, command in server.members().items() if "multiprocessing.spawn" in command}


def calls_by_worker(server: Server) -> dict[str, float]:
    """Calls that each worker has counted, as ``/metrics`` of any of them says."""
    text = ask(f"{server.url}/metrics").text
    lines = re.findall(r'^signalbox_gateway_requests_total\{.*worker="(\d+)".*\} (\S+)$', text, re.MULTILINE)
    return {worker: sum(float(count) for other, count in lines if other == worker) for worker, _ in lines}


def call(server: Server) -> int:
    return ask(f"{server.url}/status/203").status


def test_workers_serve_are_replaced_and_end_together(server: Server) -> None:
    until(lambda: len(workers(server)) == 2)
    killed = min(workers(server))

    made_calls = 0
    with ThreadPoolExecutor(8) as pool:

        def both_serve() -> bool:
            nonlocal made_calls
            made_calls += 40
            assert set(pool.map(lambda _: call(server), range(40))) == {203}
            return set(calls_by_worker(server)) == {"0", "1"}

        until(both_serve)
    until(lambda: sum(calls_by_worker(server).values()) == made_calls)

    os.kill(killed, signal.SIGKILL)
    until(lambda: len(workers(server) - {killed}) == 2)
    assert call(server) == 203
    assert len(server.logged("worker died; it is started again")) == 1

    assert server.end() == 0
    until(lambda: server.members() == {}, within=2)
    assert server.err == ""


def test_all_workers_reload_and_the_first_user_is_made_once(server: Server) -> None:
    taken = "settings reloaded"
    assert sign_in(server.url, "admin", "an-admin's-password").status == 200
    until(lambda: len(workers(server)) == 2)
    (server.folder / "signalbox.toml").write_text('[auth]\nanonymous_scopes = ["statistics:read"]', encoding="utf-8")
    until(lambda: _both_listen(server))
    server.send(signal.SIGHUP)
    until(lambda: len(server.logged(taken)) == 2)
    assert {ask(f"{server.url}/api/statistics/").status for _ in range(10)} == {200}
    (server.folder / "signalbox.toml").write_text("prot = 1", encoding="utf-8")
    server.send(signal.SIGHUP)
    until(lambda: server.logged("settings not reloaded; the old ones stay"))
    assert len(server.logged(taken)) == 2
    assert server.end(signal.SIGINT) == 0
    until(lambda: server.members() == {}, within=2)


def _both_listen(server: Server) -> bool:
    """Whether both workers have left numbers, which they do once they are open."""
    return set(re.findall(r'worker="(\d+)"', ask(f"{server.url}/metrics").text)) == {"0", "1"}
