import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from signalbox.app.load import Sources, load, resolve
from signalbox.app.settings import Settings
from signalbox.core.errors import SettingsError

SECRET = "hunter2"


def faults_of(flags: dict[str, Any] | None = None, *, environ: dict[str, str] | None = None, **more: Any) -> list[str]:
    """What is said of these settings, a line for each fault; no secret is in it."""
    with pytest.raises(SettingsError) as caught:
        load(flags or {}, Sources(environ=resolve(environ or {}), **more))
    assert SECRET not in str(caught.value)
    return str(caught.value).splitlines()


def variables_faults(**variables: str) -> list[str]:
    return faults_of(environ=variables)


def toml(folder: Path, text: str) -> Path:
    path = folder / "signalbox.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sources]:
    """The sources of a process that runs in an empty folder, with these variables alone."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        monkeypatch.delenv(name)

    def sources(file: Path | None = None, **variables: str) -> Sources:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Sources.of_process(file)

    return sources


# -- order ------------------------------------------------------------------------------------------------------------


LAYERS = ("flags", "environ", "dotenv", "file")


def layered(folder: Path, names: tuple[str, ...]) -> Settings:
    """Settings where each of these layers gives a port and a level of its own."""
    flags = {"port": 1, "log": {"level": "debug"}} if "flags" in names else {}
    environ = {"SIGNALBOX_PORT": "2", "SIGNALBOX_LOG__LEVEL": "info"} if "environ" in names else {}
    dotenv = {"SIGNALBOX_PORT": "3", "SIGNALBOX_LOG__LEVEL": "warning"} if "dotenv" in names else {}
    file = toml(folder, 'port = 4\n[log]\nlevel = "error"\n') if "file" in names else None
    return load(flags, Sources(environ=environ, dotenv=dotenv, file=file))


@pytest.mark.parametrize("strongest", range(4), ids=LAYERS)
def test_a_layer_hides_those_below_it(tmp_path: Path, strongest: int) -> None:
    settings = layered(tmp_path, LAYERS[strongest:])
    assert settings.port == strongest + 1
    assert settings.log.level == ["debug", "info", "warning", "error"][strongest]


def test_what_no_layer_says_is_the_default() -> None:
    settings = load({}, Sources())
    assert (settings.host, settings.port, settings.role, settings.workers) == ("127.0.0.1", 8000, "all", 1)
    assert settings.data_dir == Path("signalbox-data")
    assert settings.auth.anonymous_scopes == ["gateway"]


def test_a_table_is_put_together_from_all_layers(tmp_path: Path) -> None:
    file = toml(tmp_path, '[auth]\ntoken_lifetime = "1h"\n[auth.login_attempts]\nper_user = 7\n[log]\nfile_count = 3\n')
    environ = {"SIGNALBOX_AUTH__LOGIN_ATTEMPTS__PER_ADDRESS": "9", "SIGNALBOX_LOG": '{"level": "error"}'}
    settings = load({"log": {"format": "json"}}, Sources(environ=environ, file=file))
    assert (settings.auth.token_lifetime, settings.auth.anonymous_scopes) == ("1h", ["gateway"])
    assert (settings.auth.login_attempts.per_user, settings.auth.login_attempts.per_address) == (7, 9)
    assert (settings.log.format, settings.log.level, settings.log.file_count) == ("json", "error", 3)


def test_lists_and_tables_in_variables_are_json() -> None:
    upstreams = [{"name": "shop", "url": "http://shop.test", "routes": ["/items/{id}"]}]
    environ = {
        "SIGNALBOX_AUTH__ANONYMOUS_SCOPES": '["gateway", "statistics:read"]',
        "SIGNALBOX_GATEWAY__UPSTREAMS": json.dumps(upstreams),
        "SIGNALBOX_GATEWAY__DEFAULT": "shop",
    }
    settings = load({}, Sources(environ=environ))
    assert settings.auth.anonymous_scopes == ["gateway", "statistics:read"]
    assert settings.gateway.upstreams[0].routes == ["/items/{id}"]


# -- variables with other names ---------------------------------------------------------------------------------------


def test_names_of_hosting_platforms_are_honoured() -> None:
    found = resolve({"PORT": "81", "DATABASE_URL": "postgresql://db.test/a"})
    settings = load({}, Sources(environ=found))
    assert settings.port == 81
    assert settings.database_url is not None
    assert settings.database_url.reveal() == "postgresql://db.test/a"


def test_our_own_names_are_stronger_than_those_of_platforms(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://db.test/ours\n", encoding="utf-8")
    found = resolve(
        {
            "PORT": "81",
            "SIGNALBOX_PORT": "82",
            "DATABASE_URL": "sqlite:///x",
            "SIGNALBOX_DATABASE_URL_FILE": str(secret),
        }
    )
    settings = load({}, Sources(environ=found))
    assert settings.port == 82
    assert settings.database_url is not None
    assert settings.database_url.reveal() == "postgresql://db.test/ours"


def test_an_empty_name_of_a_platform_says_nothing() -> None:
    assert load({}, Sources(environ=resolve({"PORT": "", "DATABASE_URL": ""}))).port == 8000


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 40 + "\r\n", encoding="utf-8")
    settings = load({}, Sources(environ=resolve({"SIGNALBOX_AUTH__JWT_KEY_FILE": str(key)})))
    assert settings.auth.jwt_key is not None
    assert settings.auth.jwt_key.reveal() == "k" * 40


def test_the_log_file_is_no_secret_in_a_file() -> None:
    settings = load({}, Sources(environ=resolve({"SIGNALBOX_LOG__FILE": "a.log"})))
    assert settings.log.file == Path("a.log")


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"\xff" + SECRET.encode(), "not UTF-8")])
def test_an_unreadable_secret_file_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    (line,) = variables_faults(SIGNALBOX_AUTH__JWT_KEY_FILE=str(path))
    assert line.startswith("SIGNALBOX_AUTH__JWT_KEY_FILE: cannot be read")
    assert reason in line
    assert str(path) in line


# -- where files are --------------------------------------------------------------------------------------------------


def test_the_file_in_the_working_folder_is_read(in_folder: Callable[..., Sources], tmp_path: Path) -> None:
    assert in_folder().file is None
    toml(tmp_path, "port = 4")
    assert load({}, in_folder()).port == 4


def test_the_named_file_goes_before_the_one_in_the_folder(in_folder: Callable[..., Sources], tmp_path: Path) -> None:
    toml(tmp_path, "port = 4")
    for name, port in (("flag", 5), ("variable", 6), ("dotenv", 7)):
        (tmp_path / f"{name}.toml").write_text(f"port = {port}", encoding="utf-8")
    (tmp_path / ".env").write_text("SIGNALBOX_CONFIG=dotenv.toml\n", encoding="utf-8")
    assert load({}, in_folder()).port == 7
    assert load({}, in_folder(SIGNALBOX_CONFIG="variable.toml")).port == 6
    assert load({}, in_folder(Path("flag.toml"))).port == 5


def test_dotenv_is_read_with_aliases_and_files(in_folder: Callable[..., Sources], tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 40, encoding="utf-8")
    (tmp_path / ".env").write_text("PORT=83\nSIGNALBOX_AUTH__JWT_KEY_FILE=key\nOTHER=1\n", encoding="utf-8")
    settings = load({}, in_folder())
    assert settings.port == 83
    assert settings.auth.jwt_key is not None


def test_a_dotenv_that_is_no_text_is_named(in_folder: Callable[..., Sources], tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff")
    with pytest.raises(SettingsError, match=r"\.env: cannot be read: it is not UTF-8 text"):
        in_folder()


def test_the_first_password_comes_from_variable_or_dotenv(in_folder: Callable[..., Sources], tmp_path: Path) -> None:
    assert in_folder().admin_password is None
    (tmp_path / ".env").write_text("SIGNALBOX_ADMIN_PASSWORD=from-dotenv\n", encoding="utf-8")
    assert in_folder().admin_password == "from-dotenv"
    assert in_folder(SIGNALBOX_ADMIN_PASSWORD="from-variable").admin_password == "from-variable"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.write_bytes(b"\xff"), "cannot be read: it is not UTF-8 text"),
        (lambda path: path.write_text("port ="), "is not TOML: Invalid value (at end of document)"),
        (lambda path: path.write_text("port = 1\nport = 2"), "is not TOML: Cannot overwrite a value"),
    ],
    ids=["missing", "folder", "bytes", "broken", "twice"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    path = tmp_path / "my.toml"
    make(path)
    (line,) = faults_of(file=path)
    assert line.startswith(f"{path}: {said}")


# -- what is said of wrong settings -----------------------------------------------------------------------------------


WRONG: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "number": ("port = 70000", "port", ("65535", "70000")),
    "text for number": ('port = "x"', "port", ("integer", "'x'")),
    "choice": ('role = "boss"', "role", ("'all', 'api', 'gateway' or 'worker'", "'boss'")),
    "path": ('root_path = "b"', "root_path", ("starts with /", "'b'")),
    "span": ('[retention]\ncalls = "7"', "retention.calls", ("'7'", "s, m, h or d, such as 90d")),
    "span of tokens": ('[auth]\ntoken_lifetime = "x"', "auth.token_lifetime", ("'x'", "90d")),
    "scope": ('[auth]\nanonymous_scopes = ["gatway"]', "auth.anonymous_scopes", ("'gatway'", "tasks:read")),
    "nested": ('[log]\nlevel = "loud"', "log.level", ("'debug', 'info', 'warning' or 'error'", "'loud'")),
    "in a list": ('[[gateway.upstreams]]\nname = "a"\nurl = "x"', "gateway.upstreams[0].url", ("http", "'x'")),
    "missing": ('[[gateway.upstreams]]\nname = "a"', "gateway.upstreams[0]", ("url", "urls")),
    "reference": ('[gateway]\ndefault = "a"', "gateway", ("'a'", "known are: none")),
    "scheme": ('database_url = "mysql://u:hunter2@h/d"', "database_url", ("mysql", "postgresql://", "sqlite:///")),
    "unknown": ("prot = 1", "prot", ("is no setting", "did you mean port?")),
    "unknown table": ("[zzz]\na = 1", "zzz", ("is no setting", "known here are: host, port,")),
    "unknown nested": ("[log]\nlevl = 1", "log.levl", ("did you mean level?",)),
    "unknown in a list": (
        '[[gateway.upstreams]]\nname = "a"\nurl = "http://a.test"\nread_timout = 1',
        "gateway.upstreams[0].read_timout",
        ("did you mean read_timeout?",),
    ),
    "kind": (
        '[[tasks.providers]]\nname = "a"\nkind = "http-jsn"',
        "tasks.providers[0]",
        ("known kinds are: ", "http-json"),
    ),
    "in a plug-in": (
        '[[tasks.providers]]\nname = "a"\nkind = "http-json"\nlist_url = "x"',
        "tasks.providers[0].list_url",
        ("http", "'x'"),
    ),
    "unknown in a plug-in": (
        '[[tasks.providers]]\nname = "a"\nkind = "http-json"\nlist_url = "http://a.test"\npol_interval = 1',
        "tasks.providers[0].pol_interval",
        ("did you mean poll_interval?",),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_named_with_what_is_allowed(tmp_path: Path, case: str) -> None:
    text, key, said = WRONG[case]
    (line,) = faults_of(file=toml(tmp_path, text))
    assert line.startswith(f"{key}: ")
    assert [each for each in said if each not in line] == []


def test_all_wrong_settings_are_named_at_once() -> None:
    lines = faults_of(
        {"port": -1, "role": "x"}, environ={"SIGNALBOX_LOG__LEVEL": "x"}, dotenv={"SIGNALBOX_DRAIN_TIMEOUT": "0"}
    )
    assert [line.partition(":")[0] for line in lines] == ["port", "role", "drain_timeout", "log.level"]


def test_a_list_that_is_not_json_is_named_by_its_variable() -> None:
    (line,) = variables_faults(SIGNALBOX_AUTH__ANONYMOUS_SCOPES="gateway,user")
    assert line.startswith("SIGNALBOX_AUTH__ANONYMOUS_SCOPES: is not JSON")
    assert '["a", "b"]' in line
    assert "'gateway,user'" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIGNALBOX_AUTH", '{"jwt_key": hunter2}'),
        ("SIGNALBOX_AUTH", "jwt_key=hunter2"),
        ("SIGNALBOX_AUTH", '{"jwt_key": "hunter2"}'),
        ("SIGNALBOX_AUTH__JWT_KEY", "hunter2"),
        ("SIGNALBOX_AUTH__JWT_KEY__MORE", "hunter2"),
        ("SIGNALBOX_DATABASE_URL", "hunter2"),
        ("SIGNALBOX_DATABASE_URL", "mysql://user:hunter2@db.test/a"),
        ("SIGNALBOX_DATABASE_URL", "postgresql://user:hunter2@db.test:port/a"),
        ("SIGNALBOX_DATABASE_URL", "postgresql://user:p@a:hunter2@db.test/a"),
        ("DATABASE_URL", "mysql://user:hunter2@db.test/a"),
        ("SIGNALBOX_GATEWAY__UPSTREAMS", '[{"name": "a", "url": "http://user:hunter2@a.test"}]'),
        ("SIGNALBOX_GATEWAY__UPSTREAMS", '[{"name": "a", "url": hunter2}]'),
    ],
)
def test_a_wrong_secret_is_never_shown(name: str, value: str) -> None:
    lines = variables_faults(**{name: value})  # which looks for the secret
    assert lines


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    (line,) = variables_faults(DATABASE_URL="postgresql://db.test/a")
    assert "install signalbox[postgresql]" in line
    load({"database_url": "sqlite:///a.db"}, Sources())


def test_a_secret_that_is_not_where_it_should_be_names_the_place() -> None:
    (line,) = variables_faults(SIGNALBOX_DATABASE_URL="env:SIGNALBOX_TEST_NOWHERE")
    assert line.startswith("database_url: the environment variable SIGNALBOX_TEST_NOWHERE is not set")


@pytest.mark.parametrize("flags", [{"workers": 2}, {"role": "api"}, {"role": "gateway"}, {"role": "worker"}])
@pytest.mark.parametrize("url", [None, "sqlite:///a.db"])
def test_several_processes_on_sqlite_are_refused(flags: dict[str, Any], url: str | None) -> None:
    environ = {} if url is None else {"SIGNALBOX_DATABASE_URL": url}
    (line,) = faults_of(flags, environ=environ)
    ((name, value),) = flags.items()
    assert line.startswith(f"settings: {name} = ")
    assert str(value) in line
    assert "SQLite has one server process; set database_url" in line
    load(flags, Sources(environ={"SIGNALBOX_DATABASE_URL": "postgresql://db.test/a"}))


# -- variables that mean nothing --------------------------------------------------------------------------------------


def test_variables_that_name_no_setting_are_told_of() -> None:
    environ = {"SIGNALBOX_POTR": "1", "SIGNALBOX_ZZZZZZ": "1", "SIGNALBOX_PORT": "1", "POTR": "1"}
    dotenv = {"SIGNALBOX_LOGG__LEVEL": "info", "SIGNALBOX_CONFIG": "x", "SIGNALBOX_ADMIN_PASSWORD": "x"}
    assert Sources(environ=environ, dotenv=dotenv).strangers() == [
        "SIGNALBOX_LOGG__LEVEL names no setting; did you mean SIGNALBOX_LOG?",
        "SIGNALBOX_POTR names no setting; did you mean SIGNALBOX_PORT?",
        "SIGNALBOX_ZZZZZZ names no setting",
    ]


def test_nested_variables_that_name_no_setting_are_refused() -> None:
    (line,) = variables_faults(SIGNALBOX_LOG__LEVL="info")
    assert line == "log.levl: is no setting; did you mean level?"
