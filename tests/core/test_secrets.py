import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from signalbox.core.secrets import MASK, Secret, UnreadableSecretError


class Settings(BaseModel):
    key: Secret
    other: Secret | None = None


def test_a_literal_reveals_itself() -> None:
    assert Secret("literal").reveal() == "literal"


def test_env_is_read_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret("env:SIGNALBOX_TEST_SECRET")
    monkeypatch.setenv("SIGNALBOX_TEST_SECRET", "one")
    assert secret.reveal() == "one"
    monkeypatch.setenv("SIGNALBOX_TEST_SECRET", "two")
    assert secret.reveal() == "two"


def test_a_file_is_read_without_the_line_end_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(" spaces stay \r\n", encoding="utf-8")
    assert Secret(f"file:{path}").reveal() == " spaces stay "


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_that_holds_no_secret_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(UnreadableSecretError, match="key"):
        Secret(f"file:{path}").reveal()


def test_a_missing_place_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SIGNALBOX_TEST_SECRET", raising=False)
    with pytest.raises(UnreadableSecretError, match="SIGNALBOX_TEST_SECRET"):
        Secret("env:SIGNALBOX_TEST_SECRET").reveal()
    with pytest.raises(UnreadableSecretError, match=r"nowhere.*No such file"):
        Secret(f"file:{tmp_path / 'nowhere'}").reveal()


def test_a_secret_is_shown_nowhere() -> None:
    settings = Settings.model_validate({"key": "hush-hush"})
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump()), str(settings.key)]
    assert not [text for text in shown if "hush" in text]
    assert json.loads(settings.model_dump_json()) == {"key": MASK, "other": None}


def test_fields_take_text_and_secrets_and_nothing_else() -> None:
    assert Settings(key=Secret("a")).key == Settings.model_validate({"key": "a"}).key
    assert Settings.model_validate_json('{"key": "a", "other": "b"}').other == Secret("b")
    for wrong in ("", 1, None, ["a"]):
        with pytest.raises(ValidationError, match="env:NAME or file:/path"):
            Settings.model_validate({"key": wrong})


def test_the_json_schema_says_password() -> None:
    assert Settings.model_json_schema()["properties"]["key"]["format"] == "password"


def test_secrets_are_equal_when_written_the_same_way() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
