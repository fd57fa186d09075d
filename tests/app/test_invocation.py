import pickle
from pathlib import Path

import pytest
import sqlalchemy as sa

from signalbox.app.invocation import Invocation
from signalbox.core.errors import SettingsError
from signalbox.infra.context import Context


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_flag_that_was_not_given_is_no_flag(folder: Path) -> None:
    (folder / "signalbox.toml").write_text("port = 7", encoding="utf-8")
    invocation = Invocation()
    invocation.take("port", None)
    assert invocation.settings().port == 7
    invocation.take("port", 8)
    assert invocation.settings().port == 8


def test_the_file_may_be_named_by_a_flag(folder: Path) -> None:
    (folder / "own.toml").write_text("port = 7", encoding="utf-8")
    invocation = Invocation()
    invocation.take("config", "own.toml")
    assert invocation.settings().port == 7
    assert invocation.sources().file == Path("own.toml")


def test_settings_are_read_anew(folder: Path) -> None:
    invocation = Invocation()
    for port in (7, 8):
        (folder / "signalbox.toml").write_text(f"port = {port}", encoding="utf-8")
        assert invocation.settings().port == port
    (folder / "signalbox.toml").write_text("port = 'x'", encoding="utf-8")
    with pytest.raises(SettingsError):
        invocation.settings()


def test_workers_read_settings_likewise() -> None:
    invocation = Invocation()
    invocation.take("port", 9)
    assert pickle.loads(pickle.dumps(invocation.settings))().port == 9


async def test_a_command_finds_a_database_of_the_newest_schema(folder: Path) -> None:
    invocation = Invocation()
    invocation.take("data_dir", "data")

    def users(tx: sa.Connection) -> int:
        count: int = tx.exec_driver_sql("SELECT count(*) FROM users").scalar_one()
        return count

    async with invocation.open_context() as context:
        assert isinstance(context, Context)
        assert await context.db.read(users) == 0
    assert (folder / "data" / "signalbox.db").is_file()
