import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from signalbox.app.hub import open_hub
from signalbox.app.load import Sources, load
from signalbox.app.server import (
    AlreadyRunningError,
    PortTakenError,
    listen,
    only_server,
    prepare,
    start_logging,
    uvicorn_config,
)
from signalbox.core.errors import SettingsError
from signalbox.core.logging import LogSettings
from tests.support.databases import Place
from tests.support.hub import settings_at


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """Give the root logger back what it had."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


# -- the port ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_free_port_is_taken(host: str) -> None:
    listener = listen(host, 0)
    port = listener.getsockname()[1]
    with listener, socket.create_connection((host, port), timeout=5):
        assert port > 0


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTakenError) as caught:
            listen("127.0.0.1", port)
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --host and --port"
    )


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("127.0.0.1", 70_000), ("no.such.host.invalid", 0)])
def test_an_address_that_is_not_ours_is_refused(host: str, port: int) -> None:
    with pytest.raises(PortTakenError, match=f"cannot listen on {host}:{port}"):
        listen(host, port)


# -- one server for each file -----------------------------------------------------------------------------------------


def test_a_second_server_on_the_same_files_is_refused(tmp_path: Path) -> None:
    settings = load({"data_dir": tmp_path / "new"}, Sources())
    other = load({"data_dir": tmp_path / "other"}, Sources())
    refused = pytest.raises(AlreadyRunningError, match=r"already uses .*/new; .* set database_url")
    with only_server(settings), only_server(other), refused, only_server(settings):
        pytest.fail("two servers on one file")
    with only_server(settings):
        pass


def test_servers_on_postgresql_may_be_many() -> None:
    settings = load({"database_url": "postgresql://db.test/a"}, Sources())
    with only_server(settings), only_server(settings):
        pass


def test_a_file_that_cannot_be_locked_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = load({"data_dir": tmp_path / "file"}, Sources())
    with pytest.raises(SettingsError, match="data_dir"), only_server(settings):
        pytest.fail("a file is no folder")
    (tmp_path / "signalbox.lock").mkdir()
    with (
        pytest.raises(SettingsError, match=r"data_dir: signalbox\.lock cannot be written"),
        only_server(load({"data_dir": tmp_path}, Sources())),
    ):
        pytest.fail("a folder is no file")


# -- before serving ---------------------------------------------------------------------------------------------------


def test_upgrades_are_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = load({"data_dir": tmp_path}, Sources())
    with caplog.at_level(logging.INFO):
        prepare(settings)
        prepare(settings)
    assert [record.getMessage() for record in caplog.records].count("database upgraded") == 2  # main and calls


def test_a_log_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path, untouched_logging: None) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"log\.file: cannot be written: File exists"):
        start_logging(LogSettings(file=tmp_path / "file" / "hub.log"))
    start_logging(LogSettings(file=tmp_path / "new" / "hub.log", level="info"))
    logging.getLogger("test").info("written")
    assert '"event": "written"' in (tmp_path / "new" / "hub.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(("setting", "seconds"), [(30.0, 30), (0.2, 1), (2.4, 2)])
async def test_draining_ends(sqlite_place: Place, setting: float, seconds: int) -> None:
    async with open_hub(settings_at(sqlite_place, drain_timeout=setting)) as hub:
        config = uvicorn_config(hub)
    assert config.timeout_graceful_shutdown == seconds
