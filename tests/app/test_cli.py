import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import signalbox
from signalbox.app.cli import hoist
from tests.support.processes import Result, run

pytestmark = pytest.mark.timeout(180)  # processes begin and end, beside whatever else the machine does

PASSWORD = "a long password"


def at_once(*commands: Callable[[], Result]) -> list[Result]:
    """Results of commands that do not depend on each other."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda command: command(), commands))


def add_anna(folder: Path) -> Result:
    return run("users", "add", "anna", "--role", "user", "--password-stdin", "--json", folder=folder, stdin=PASSWORD)


@pytest.mark.parametrize(
    ("words", "hoisted"),
    [
        ("serve --port 1", "serve --port 1"),
        ("--config a serve", "--config a serve"),
        ("serve --config a", "--config a serve"),
        ("users add x --data-dir=d --role user --config a", "--data-dir=d --config a users add x --role user"),
        ("serve --data-dir a --data-dir b", "--data-dir a --data-dir b serve"),
        ("users add -- --config a", "users add -- --config a"),
        ("users list --config", "--config"),
        ("serve --configure a", "serve --configure a"),
        ("", ""),
    ],
)
def test_common_options_may_stand_anywhere(words: str, hoisted: str) -> None:
    assert hoist(words.split()) == hoisted.split()


def test_version_and_help(tmp_path: Path) -> None:
    version, module, bare, nonsense = at_once(
        partial(run, "--version", folder=tmp_path),
        partial(run, "--version", folder=tmp_path, command=(sys.executable, "-m", "signalbox")),
        partial(run, folder=tmp_path),
        partial(run, "nonsense", folder=tmp_path),
    )
    assert (version.code, version.out, version.err) == (0, f"signalbox {signalbox.__version__}\n", "")
    assert module == version
    assert bare.code == 0
    assert all(re.search(rf"^  {name} ", bare.out, re.MULTILINE) for name in ("serve", "demo", "users", "tokens"))
    assert (nonsense.code, nonsense.out) == (2, "")
    assert "nonsense" in nonsense.err
    assert list(tmp_path.iterdir()) == []


def test_exit_codes(tmp_path: Path) -> None:
    assert add_anna(tmp_path).code == 0
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "signalbox.db").write_text("this is no database, and long enough to be taken for one" * 100)
    away = "postgresql://somebody:hunter2@127.0.0.1:1/nowhere"
    damaged, no_role, wrong, missing, conflict, unavailable = at_once(
        partial(run, "users", "list", "--data-dir", "broken", folder=tmp_path),
        partial(run, "users", "add", "x", "--role", "boss", folder=tmp_path),
        partial(run, "serve", "--port", "70000", folder=tmp_path),
        partial(run, "users", "disable", "nobody", folder=tmp_path),
        partial(run, "users", "add", "ANNA", "--role", "user", "--password-stdin", folder=tmp_path, stdin=PASSWORD),
        partial(run, "users", "list", folder=tmp_path, DATABASE_URL=away),
    )
    results = (damaged, no_role, wrong, missing, conflict, unavailable)
    assert [result.code for result in results] == [5, 2, 2, 3, 4, 5]
    assert [result.out for result in results] == [""] * 6
    assert re.match(r"error: .*signalbox.db.*file is not a database", damaged.err)
    assert "'boss'" in no_role.err
    assert wrong.err == (
        "error: these settings are wrong:\n  port: Input should be less than or equal to 65535 (given: 70000)\n"
    )
    assert missing.err == "error: there is no user 'nobody'\n"
    assert conflict.err == "error: there is a user ANNA already\n"
    assert unavailable.err.startswith("error: the database does not answer: ")
    assert "hunter2" not in unavailable.err


def test_json_wherever_there_is_output(tmp_path: Path) -> None:
    added = add_anna(tmp_path)
    command = partial(run, folder=tmp_path)
    listed, password, made, checked, shown, upgraded = at_once(
        partial(command, "users", "list", "--json"),
        partial(command, "users", "password", "anna", "--password-stdin", "--json", stdin=PASSWORD),
        partial(command, "tokens", "create", "--app", "shop", "--scope", "gateway", "--expires", "90d", "--json"),
        partial(command, "config", "check", "--json"),
        partial(command, "config", "show", "--json"),
        partial(command, "db", "upgrade", "--json"),
    )
    tokens, revoked, disabled = at_once(
        partial(command, "tokens", "list", "--json"),
        partial(command, "tokens", "revoke", made.json["prefix"], "--json"),
        partial(command, "users", "disable", "anna", "--json"),
    )
    enabled = command("users", "enable", "anna", "--json")
    assert (added.json["name"], added.json["role"]) == ("anna", "user")
    assert [user["name"] for user in listed.json] == ["anna"]
    assert password.json["password_changed_at"] > added.json["password_changed_at"]
    assert re.fullmatch(r"sbx_[\w-]{40}", made.json["token"])
    assert made.json["expires_at"] > made.json["created_at"]
    assert checked.json == {"valid": True, "file": "no settings file", "warnings": []}
    assert shown.json["port"] == 8000
    assert upgraded.json["main"]["after"] == upgraded.json["main"]["before"]
    assert [token["prefix"] for token in tokens.json] == [made.json["prefix"]]
    assert "token" not in tokens.json[0]
    assert revoked.json["revoked_at"] is not None
    assert disabled.json["disabled_at"] is not None
    assert enabled.json["disabled_at"] is None


def test_a_token_is_the_last_line_alone_and_whole(tmp_path: Path) -> None:
    scopes = ["--scope", "gateway", "--scope", "statistics:read"]
    result = run("tokens", "create", "--any-app", *scopes, folder=tmp_path, COLUMNS="20")
    assert result.code == 0
    assert re.fullmatch(r"sbx_[\w-]{40}\n", result.out)
    assert "gateway statistics:read" in result.err
    assert result.out.strip() not in result.err


def test_folder_and_file_may_be_named_anywhere(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('data_dir = "from-file"', encoding="utf-8")
    results = at_once(
        partial(run, "--config", "my.toml", "users", "list", folder=tmp_path),
        partial(run, "users", "list", "--config=my.toml", "--data-dir", "from-flag", folder=tmp_path),
        partial(run, "users", "list", folder=tmp_path, SIGNALBOX_DATA_DIR="from-variable", SIGNALBOX_CONFIG="my.toml"),
        partial(run, "users", "list", "--config", folder=tmp_path),
    )
    assert [result.code for result in results] == [0, 0, 0, 2]
    made = {path.parent.name for path in tmp_path.glob("*/signalbox.db")}
    assert made == {"from-file", "from-flag", "from-variable"}
    assert "'--config' requires an argument" in results[3].err


def test_a_folder_that_cannot_be_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for result in at_once(
        partial(run, "users", "list", "--data-dir", "file", folder=tmp_path),
        partial(run, "serve", "--data-dir", "file/below", folder=tmp_path),
    ):
        assert (result.code, result.out) == (2, "")
        assert "data_dir: cannot be made" in result.err
