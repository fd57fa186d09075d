"""``signalbox serve`` as one process on SQLite: starting, reloading, ending."""

import re
import signal
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from signalbox.gateway.schemas import Call
from tests.e2e.conftest import Shop
from tests.support.processes import Server, ask, run, serving, sign_in, until


def recorded(server: Server) -> list[tuple[str, int]]:
    """Paths and statuses of the calls that a server has written."""
    with closing(sqlite3.connect(server.folder / "signalbox-data/signalbox-calls.db")) as database:
        blocks = database.execute("SELECT content FROM call_block ORDER BY id").fetchall()
    calls = [Call(*values) for (content,) in blocks for values in msgspec.msgpack.decode(content[1:])]
    return [(call.path, call.status) for call in calls]


def draining(server: Server) -> bool:
    answer = ask(f"{server.url}/readyz")
    return answer.status == 503 and answer.json["status"] == "draining"


# -- ending -----------------------------------------------------------------------------------------------------------


def test_sigterm_ends_calls_under_way_and_writes_what_was_counted(shop: Shop, tmp_path: Path) -> None:
    variables = {**shop.variables, "SIGNALBOX_DRAIN_DELAY": "4"}
    seen = shop.app.tally.requests
    with serving(folder=tmp_path, **variables) as server, ThreadPoolExecutor(1) as pool:
        where = urlsplit(server.url)
        with socket.create_connection((where.hostname, where.port)) as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert idle.recv(100).startswith(b"HTTP/1.1 200")
            slow = pool.submit(ask, f"{server.url}/delay/1500")
            until(lambda: shop.app.tally.requests > seen)
            assert ask(f"{server.url}/readyz").json["status"] == "ready"
            server.send(signal.SIGTERM)
            until(lambda: draining(server))
            assert ask(f"{server.url}/status/203").status == 203
            assert server.wait() == 0
            assert slow.result().json == {"delayed_ms": 1500}
        assert server.members() == {}
        assert sorted(recorded(server)) == [("/delay/1500", 200), ("/status/203", 203)]
        assert [line["event"] for line in server.log[-2:]] == ["draining", "stopped"]


def test_a_call_that_does_not_end_is_cut_off(shop: Shop, tmp_path: Path) -> None:
    variables = {**shop.variables, "SIGNALBOX_DRAIN_TIMEOUT": "1"}
    seen = shop.app.tally.requests
    with serving(folder=tmp_path, **variables) as server, ThreadPoolExecutor(1) as pool:
        endless = pool.submit(ask, f"{server.url}/stream/100000/50")
        until(lambda: shop.app.tally.requests > seen)
        assert server.end(signal.SIGINT) == 0
        with pytest.raises(Exception, match=r".*"):
            endless.result()
        assert [path for path, _ in recorded(server)] == ["/stream/100000/50"]


# -- starting ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that was started for the first time, without a password for it, and logs to a file too."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "signalbox.toml").write_text('[log]\nfile = "hub.log"\nlevel = "debug"', encoding="utf-8")
    with serving(folder=folder, SIGNALBOX_ADMIN_PASSWORD="") as server:
        yield server


def shown_password(server: Server) -> str:
    found = re.search(r"^(\S{16,})$", server.err, re.MULTILINE)
    assert found is not None, server.err
    return found[1]


def test_the_first_password_is_shown_once_and_works(first: Server) -> None:
    password = shown_password(first)
    assert first.err.count(password) == 1
    answer = sign_in(first.url, "admin", password)
    assert (answer.status, answer.json["scope"]) == (200, "manager")
    assert password not in first.out
    assert password not in (first.folder / "hub.log").read_text(encoding="utf-8")


def test_a_second_server_on_the_same_files_is_refused(first: Server) -> None:
    result = run("serve", "--port", "0", folder=first.folder)
    assert (result.code, "already uses" in result.err, "database_url" in result.err) == (4, True, True)
    assert ask(f"{first.url}/readyz").status == 200


def test_a_taken_port_is_named(first: Server, tmp_path: Path) -> None:
    port = str(urlsplit(first.url).port)
    result = run("serve", "--port", port, folder=tmp_path, SIGNALBOX_ADMIN_PASSWORD="a long password")
    assert result.code == 4
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.err
    assert "Traceback" not in result.err


def test_settings_that_are_wrong_start_nothing(tmp_path: Path) -> None:
    result = run("serve", "--workers", "2", folder=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert "workers = 2 needs PostgreSQL" in result.err
    assert "database_url" in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_given_password_is_not_shown_and_a_restart_shows_none(tmp_path: Path) -> None:
    with serving(folder=tmp_path, SIGNALBOX_ADMIN_PASSWORD="a given password") as server:
        assert sign_in(server.url, "admin", "a given password").status == 200
        assert server.err == ""
        assert "a given password" not in server.out
        server.end()
    with serving(folder=tmp_path, SIGNALBOX_ADMIN_PASSWORD="") as server:
        assert server.err == ""
        assert sign_in(server.url, "admin", "a given password").status == 200


# -- reloading --------------------------------------------------------------------------------------------------------


def reload(server: Server, text: str, *, event: str) -> dict[str, object]:
    """Give a server other settings; what it logs of them."""
    before = len(server.logged(event))
    (server.folder / "signalbox.toml").write_text(text, encoding="utf-8")
    server.send(signal.SIGHUP)
    until(lambda: len(server.logged(event)) > before)
    return server.logged(event)[-1]


def test_sighup_takes_valid_settings_and_names_what_needs_a_restart(tmp_path: Path) -> None:
    taken, kept = "settings reloaded", "settings not reloaded; the old ones stay"
    opened = '[auth]\nanonymous_scopes = ["statistics:read"]\n'
    with serving(folder=tmp_path) as server:
        statistics = f"{server.url}/api/statistics/"
        assert ask(statistics).status == 401
        assert reload(server, opened, event=taken)["need_restart"] == []
        assert ask(statistics).status == 200
        refused = reload(server, 'prot = 1\n[log]\nlevel = "loud"', event=kept)
        assert [str(each).partition(":")[0] for each in refused["faults"]] == ["log.level", "prot"]  # type: ignore[attr-defined]
        assert ask(statistics).status == 200
        for _ in range(2):
            assert reload(server, f'root_path = "/b"\n{opened}', event=taken)["need_restart"] == ["root_path"]
        assert ask(f"{server.url}/b/healthz").status == 404
        assert reload(server, "", event=taken)["need_restart"] == []
        assert ask(statistics).status == 401
        assert server.end() == 0


def test_admin_may_read_who_did_what(first: Server) -> None:
    token = sign_in(first.url, "admin", shown_password(first)).json["access_token"]
    entries = ask(f"{first.url}/api/audit", token=token).json
    assert [entry["action"] for entry in entries][-1] == "user.add"
    assert entries[-1]["actor"] == "serve"


def test_connections_that_only_wait_are_ended(tmp_path: Path) -> None:
    with serving(folder=tmp_path, SIGNALBOX_IDLE_TIMEOUT="0.5") as server:
        where = urlsplit(server.url)
        address = (where.hostname or "", where.port or 0)
        for said in (
            b"",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Endless: ",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        ):
            with socket.create_connection(address, timeout=10) as waiting:
                waiting.sendall(said)
                heard = b"".join(iter(lambda: waiting.recv(65_536), b""))
            assert heard.startswith(b"HTTP/1.1 200") == said.endswith(b"\r\n\r\n")
