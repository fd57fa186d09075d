"""What ``serve`` does before it serves; that it serves is for tests/e2e."""

import logging
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from signalbox.app.load import Sources, load
from signalbox.app.server_commands import _first_user, _prepare
from signalbox.app.settings import Settings
from signalbox.auth.models import users
from signalbox.core.errors import SettingsError, UnavailableError
from tests.support.processes import run

AWAY = "postgresql://nobody:hunter2@127.0.0.1:1/nowhere"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"data_dir": tmp_path}, Sources())


def names(settings: Settings) -> list[tuple[str, str]]:
    engine = sa.create_engine(f"sqlite:///{settings.sqlite_path}")
    with engine.connect() as tx:
        found = [(row.name, row.role) for row in tx.execute(sa.select(users))]
    engine.dispose()
    return found


def test_the_first_start_shows_a_password_once_and_does_not_log_it(
    settings: Settings, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        _prepare(settings, None)
        first = capsys.readouterr()
        _prepare(settings, None)
        second = capsys.readouterr()
    heading, password, _ = first.err.splitlines()
    assert "admin" in heading
    assert len(password) >= 16
    assert re.fullmatch(r"\S+", password)
    assert (first.out, second.out, second.err) == ("", "", "")
    assert password not in caplog.text
    assert names(settings) == [("admin", "manager")]


def test_a_given_first_password_is_not_shown(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    _prepare(settings, "a given password")
    assert capsys.readouterr().err == ""
    assert names(settings) == [("admin", "manager")]


def test_a_weak_first_password_is_refused(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="SIGNALBOX_ADMIN_PASSWORD: a password has 8"):
        _prepare(settings, "short")
    assert names(settings) == []


def test_where_there_is_a_user_no_other_is_made(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    _prepare(settings, "a given password")
    _first_user(settings, "another password")
    _first_user(settings, None)
    assert capsys.readouterr().err == ""
    assert len(names(settings)) == 1


def test_only_the_gateway_starts_without_a_database(caplog: pytest.LogCaptureFixture) -> None:
    _prepare(load({"database_url": AWAY, "role": "gateway"}, Sources()), None)
    assert "started without the database" in caplog.text
    assert "hunter2" not in caplog.text
    for role in ("all", "api", "worker"):
        with pytest.raises(UnavailableError):
            _prepare(load({"database_url": AWAY, "role": role}, Sources()), None)


@pytest.mark.parametrize("words", [["--port", "70000"], ["--rate", "0"], ["--rate", "-1"]])
def test_the_demo_checks_what_it_is_given(tmp_path: Path, words: list[str]) -> None:
    result = run("demo", *words, folder=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert words[0] in result.err
