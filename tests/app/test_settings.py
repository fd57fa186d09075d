from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from signalbox.app.settings import RetentionSettings, Settings


def make(**values: Any) -> Settings:
    return Settings(**values)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (None, Path("data/signalbox.db")),
        ("sqlite:///own.db", Path("own.db")),
        ("sqlite:////var/own.db", Path("/var/own.db")),
        ("postgresql://db.test/a", None),
        ("postgres://db.test/a", None),
    ],
)
def test_the_database_is_the_file_in_the_folder_unless_an_address_is_given(url: str | None, path: Path | None) -> None:
    assert make(data_dir="data", database_url=url).sqlite_path == path


@pytest.mark.parametrize(("given", "kept"), [("/b", "/b"), ("/b/", "/b"), ("/a/b", "/a/b"), ("/", ""), ("", "")])
def test_a_root_path_has_no_slash_at_its_end(given: str, kept: str) -> None:
    assert make(root_path=given).root_path == kept


@pytest.mark.parametrize(
    "values",
    [
        {"port": -1},
        {"port": 65_536},
        {"workers": 0, "database_url": "postgresql://db.test/a"},
        {"workers": 257, "database_url": "postgresql://db.test/a"},
        {"drain_delay": -1},
        {"drain_timeout": 0},
        {"root_path": "b"},
        {"role": "boss"},
        {"database_url": "no address"},
        {"database_url": "mysql://db.test/a"},
        {"database_url": "sqlite://"},
        {"database_url": "sqlite:///:memory:"},
        {"nonsense": 1},
    ],
)
def test_values_outside_their_bounds_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make(**values)


def test_split_roles_and_workers_are_for_postgresql() -> None:
    assert make(role="api", workers=4, database_url="postgresql://db.test/a").workers == 4
    with pytest.raises(ValidationError, match="database_url"):
        make(role="api")


def test_settings_cannot_be_changed() -> None:
    settings, name = make(), "port"
    with pytest.raises(ValidationError):
        setattr(settings, name, 1)


def test_the_password_of_the_database_is_not_in_its_repr() -> None:
    assert "hunter2" not in repr(make(database_url="postgresql://u:hunter2@db.test/a"))


@pytest.mark.parametrize("values", [{"calls": "soon"}, {"calls": "0d"}, {"call_rows": 999}, {"forever": True}])
def test_retention_is_checked(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RetentionSettings(**values)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_that_is_no_file_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="names no file"):
        make(database_url=url)


def test_a_host_has_one_budget() -> None:
    one, same = ({"host": host, "limits": ["5/1s"]} for host in ("api.example.com", "API.example.com."))
    assert [each.host for each in Settings(budgets=[one]).budgets] == ["api.example.com"]  # type: ignore[list-item]
    with pytest.raises(ValidationError, match=r"the host api.example.com has two budgets"):
        Settings(budgets=[one, same])  # type: ignore[list-item]
