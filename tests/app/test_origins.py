from pathlib import Path

import pytest

from signalbox.app.load import Sources, load
from signalbox.app.origins import flatten

TOML = """
port = 1
drain_delay = 2
[auth]
token_lifetime = "1h"
[[gateway.upstreams]]
name = "shop"
url = "http://shop.test"
"""


def found(tmp_path: Path, flags: dict[str, object] | None = None, **more: dict[str, str]) -> dict[str, str]:
    file = tmp_path / "signalbox.toml"
    file.write_text(TOML)
    return dict(load(flags or {}, Sources(file=file, **more)).origins)


def test_each_source_is_named_and_the_strongest_wins(tmp_path: Path) -> None:
    file = str(tmp_path / "signalbox.toml")
    dotenv = {"SIGNALBOX_PORT": "2", "SIGNALBOX_WORKERS": "1"}
    environ = {"SIGNALBOX_PORT": "3", "SIGNALBOX_AUTH__TOKEN_LIFETIME": "2h"}
    origins = found(tmp_path, {"port": 4}, dotenv=dotenv, environ=environ)
    assert origins["port"] == "command line: --port"
    assert origins["auth.token_lifetime"] == "environment: SIGNALBOX_AUTH__TOKEN_LIFETIME"
    assert origins["workers"] == ".env: SIGNALBOX_WORKERS"
    assert origins["drain_delay"] == origins["gateway.upstreams"] == file
    assert "host" not in origins


def test_a_variable_may_hold_a_table_or_a_list(tmp_path: Path) -> None:
    environ = {
        "SIGNALBOX_GATEWAY__UPSTREAMS": '[{"name": "bank", "url": "http://bank.test"}]',
        "SIGNALBOX_RETENTION": '{"calls": "3d"}',
    }
    origins = found(tmp_path, environ=environ)
    assert origins["gateway.upstreams"] == "environment: SIGNALBOX_GATEWAY__UPSTREAMS"
    assert origins["retention.calls"] == "environment: SIGNALBOX_RETENTION"


def test_variables_by_other_names_are_told_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("a-very-secret-key-of-32-characters!!")
    monkeypatch.setenv("PORT", "9")
    monkeypatch.setenv("SIGNALBOX_AUTH__JWT_KEY_FILE", str(tmp_path / "key"))
    origins = load({}, Sources.of_process()).origins
    assert origins["port"] == "environment: PORT"
    assert origins["auth.jwt_key"] == "environment: SIGNALBOX_AUTH__JWT_KEY_FILE"


@pytest.mark.parametrize(
    ("value", "flat"),
    [
        ({"a": 1, "b": {"c": "x", "d": {"e": True}}}, [("a", 1), ("b.c", "x"), ("b.d.e", True)]),
        ({"a": [1, 2], "b": []}, [("a", [1, 2]), ("b", [])]),
        ({"a": [{"b": 1}, {"b": 2}]}, [("a[0].b", 1), ("a[1].b", 2)]),
        ({"a": None}, []),
    ],
)
def test_nested_settings_are_flattened(value: object, flat: list[tuple[str, object]]) -> None:
    assert flatten(value) == flat
