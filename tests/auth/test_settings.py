from pathlib import Path

import pytest
from pydantic import ValidationError

from signalbox.auth.settings import AuthSettings, LoginAttempts

KEY = "k" * 32


def test_what_holds_if_nothing_is_said() -> None:
    settings = AuthSettings()
    assert settings.jwt_key is None
    assert settings.token_lifetime_micros == 12 * 3600 * 1_000_000
    assert settings.anonymous_scopes == ["gateway"]
    assert settings.login_attempts == LoginAttempts(per_user=5, per_address=20)


@pytest.mark.parametrize("kind", ["literal", "env", "file"])
def test_the_key_may_stand_in_three_places(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIGNALBOX_TEST_KEY", KEY)
    (tmp_path / "key").write_text(KEY + "\n", encoding="utf-8")
    source = {"literal": KEY, "env": "env:SIGNALBOX_TEST_KEY", "file": f"file:{tmp_path / 'key'}"}[kind]
    settings = AuthSettings.model_validate({"jwt_key": source})
    assert settings.jwt_key is not None
    assert settings.jwt_key.reveal() == KEY
    assert KEY not in repr(settings) + settings.model_dump_json()


def test_a_short_or_missing_key_is_refused_and_not_shown() -> None:
    with pytest.raises(ValidationError, match="at least 32 bytes, this one has 31") as short:
        AuthSettings.model_validate({"jwt_key": "hush-hush" + "k" * 22})
    assert "hush" not in str(short.value)
    with pytest.raises(ValidationError, match="SIGNALBOX_TEST_NO_KEY is not set"):
        AuthSettings.model_validate({"jwt_key": "env:SIGNALBOX_TEST_NO_KEY"})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"anonymous_scopes": ["gatway"]}, "no scope 'gatway'; the scopes are gateway"),
        ({"token_lifetime": "12"}, "not a span of time"),
        ({"token_lifetime": "3651d"}, "at most 3650d"),
        ({"login_attempts": {"per_user": 0}}, "greater than or equal to 1"),
        ({"lifetime": "1h"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_say_what_is_allowed(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AuthSettings.model_validate(wrong)


def test_nobody_is_a_manager_without_signing_on() -> None:
    with pytest.raises(ValidationError, match="role manager is for people"):
        AuthSettings(anonymous_scopes=["gateway", "manager"])
