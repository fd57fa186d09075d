import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from signalbox.app.cli import build_cli
from signalbox.app.invocation import Invocation
from signalbox.core.errors import SettingsError

SECRETS = """
database_url = "postgresql://user:hunter2@db.test/a"
[auth]
jwt_key = "hunter2 and more, so that it is long enough"
token_lifetime = "1h"
[[gateway.upstreams]]
name = "shop"
url = "http://shop.test/api"
[[tasks.providers]]
name = "netlab"
kind = "http-json"
list_url = "https://api.test/tasks?code=hunter2"
headers = { X-From = "hunter2" }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*words: str, **variables: str) -> Result:
    result = CliRunner().invoke(build_cli(Invocation()), words, env=variables)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_show_masks_secrets_and_nothing_else(folder: Path) -> None:
    (folder / "signalbox.toml").write_text(SECRETS, encoding="utf-8")
    for words in (("config", "show"), ("config", "show", "--json")):
        shown = invoke(*words).stdout
        assert "hunter2" not in shown
        assert "http://shop.test/api" in shown
    lines = invoke("config", "show").stdout.splitlines()
    assert {
        'auth.token_lifetime = "1h"  # signalbox.toml',
        'gateway.upstreams[0].name = "shop"  # signalbox.toml',
        "port = 8000",
    } <= set(lines)
    values = json.loads(invoke("config", "show", "--json").stdout)
    assert set(values["database_url"]) == set(values["auth"]["jwt_key"]) == {"*"}


def test_show_says_where_each_was_set() -> None:
    assert invoke("config", "show", "--set", SIGNALBOX_PORT="9").stdout == "port = 9  # environment: SIGNALBOX_PORT\n"
    (row,) = json.loads(invoke("config", "show", "--set", "--origins", SIGNALBOX_PORT="9").stdout)
    assert row == {"name": "port", "value": "9", "default": False, "origin": "environment: SIGNALBOX_PORT"}


def test_check_says_what_it_read(folder: Path) -> None:
    assert invoke("config", "check").stdout == "valid (no settings file)\n"
    (folder / "signalbox.toml").write_text(SECRETS, encoding="utf-8")
    assert invoke("config", "check").stdout == "valid (signalbox.toml)\n"
    assert json.loads(invoke("config", "check", "--json").stdout)["file"] == "signalbox.toml"


def test_check_warns_of_variables_that_mean_nothing() -> None:
    result = invoke("config", "check", SIGNALBOX_POTR="1")
    assert result.exit_code == 0
    assert "warning: SIGNALBOX_POTR names no setting; did you mean SIGNALBOX_PORT?" in result.stderr.splitlines()
    assert "SIGNALBOX_POTR" not in result.stdout
    said = json.loads(invoke("config", "check", "--json", SIGNALBOX_POTR="1").stdout)["warnings"]
    assert "SIGNALBOX_POTR names no setting; did you mean SIGNALBOX_PORT?" in said


def test_check_raises_what_is_wrong(folder: Path) -> None:
    (folder / "signalbox.toml").write_text("port = 0\nprot = 1", encoding="utf-8")
    with pytest.raises(SettingsError, match="prot: is no setting; did you mean port"):
        invoke("config", "check")


def test_check_names_what_is_wrong_in_json_too(folder: Path) -> None:
    (folder / "signalbox.toml").write_text('database_url = "mysql://u:hunter2@db.test/a"\nprot = 1', encoding="utf-8")
    result = CliRunner().invoke(build_cli(Invocation()), ["config", "check", "--json"])
    assert isinstance(result.exception, SettingsError)
    told = json.loads(result.stdout)
    assert told["valid"] is False
    assert [fault["where"] for fault in told["faults"]] == ["database_url", "prot"]
    assert "hunter2" not in result.stdout


def test_upgrade_tells_what_it_did() -> None:
    first = invoke("--data-dir", "data", "db", "upgrade")
    assert first.stdout.splitlines()[0].startswith("main: empty -> ")
    again = invoke("--data-dir", "data", "db", "upgrade")
    assert all(line.endswith("(already)") for line in again.stdout.splitlines())
    told = json.loads(invoke("--data-dir", "data", "db", "upgrade", "--json").stdout)
    assert told.keys() == {"main", "calls"}


def test_versions_are_shown() -> None:
    told = invoke("--data-dir", "data", "db", "show").stdout
    assert "main: SQLite" in told
    found = json.loads(invoke("--data-dir", "data", "db", "show", "--json").stdout)
    assert found.keys() == {"signalbox", "python", "main", "calls"}
    upgraded = json.loads(invoke("--data-dir", "data", "db", "upgrade", "--json").stdout)
    assert {name: found[name]["revision"] for name in upgraded} == {
        name: done["after"] for name, done in upgraded.items()
    }
