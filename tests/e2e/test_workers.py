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
from tests.support.processes import ADMIN_PASSWORD, Server, ask, serving, sign_in, until
from tests.support.timing import PATIENCE


@pytest.fixture(scope="module")
def place(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlPlace]:
    with postgresql_server.database() as lent:
        yield lent


@pytest.fixture
def server(place: PostgresqlPlace, shop: Shop, tmp_path: Path) -> Iterator[Server]:
    """Two workers on one port."""
    variables = {**shop.variables, "SIGNALBOX_DATABASE_URL": place.url, "TMPDIR": str(tmp_path)}
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
    until(lambda: server.members() == {}, within=PATIENCE)
    assert server.err == ""


def set_file(server: Server, text: str) -> None:
    (server.folder / "signalbox.toml").write_text(text, encoding="utf-8")


def test_all_workers_reload_and_the_first_user_is_made_once(server: Server) -> None:
    taken = "settings reloaded"
    assert sign_in(server.url, "admin", ADMIN_PASSWORD).status == 200
    until(lambda: _both_listen(server))
    set_file(server, '[auth]\nanonymous_scopes = ["statistics:read"]\n[log]\nfile = "hub.log"')
    server.send(signal.SIGHUP)
    until(lambda: len(server.logged(taken)) == 2)
    assert {ask(f"{server.url}/api/statistics/").status for _ in range(10)} == {200}
    for number in (0, 1):
        assert taken in (server.folder / f"hub-{number}.log").read_text(encoding="utf-8")
    assert server.end(signal.SIGINT) == 0
    until(lambda: server.members() == {}, within=PATIENCE)


def test_wrong_settings_change_nothing_and_start_nobody(server: Server) -> None:
    wrong = "settings are wrong"
    until(lambda: _both_listen(server))
    set_file(server, "prot = 1")
    server.send(signal.SIGHUP)
    refused = until(lambda: server.logged(wrong))
    assert refused[0]["faults"] == ["prot: is no setting; did you mean port?"]
    assert refused[0]["consequence"] == "the old ones stay"
    killed = min(workers(server))
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(server.logged(wrong)) > 1)
    assert "not started again" in server.logged(wrong)[1]["consequence"]
    assert len(workers(server)) == 1
    assert call(server) == 203
    set_file(server, "")
    until(lambda: len(workers(server) - {killed}) == 2)
    assert [line["consequence"] for line in server.logged(wrong)].count("the old ones stay") == 1
    assert not server.logged("settings reloaded")


def _both_listen(server: Server) -> bool:
    """Whether both workers have left numbers, which they do once they are open."""
    return set(re.findall(r'worker="(\d+)"', ask(f"{server.url}/metrics").text)) == {"0", "1"}
