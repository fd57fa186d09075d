import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from signalbox.core.logging import MASK, LogSettings, configure_logging, redact

TOKEN = "sbx_" + "Ab3-_xYz" * 4
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
SECRET = "hunter2-and-more"
KEYS = ["password", "new_password", "PASSWD", "client_secret", "jwt_key", "Authorization", "set-cookie", "api_key"]
KEYS += ["X-Api-Key", "apikey", "Ocp-Apim-Subscription-Key", "key", "signing_key", "X-Key"]

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _same_loggers_afterwards() -> Iterator[None]:
    root = logging.getLogger()
    level, before = root.level, root.handlers[:]
    for handler in before:
        root.removeHandler(handler)
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in before:
        root.addHandler(handler)
    root.setLevel(level)


def lines(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines()]


# -- redaction --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [SECRET, (SECRET.encode(), 12345), {"inner": SECRET}, [{"a": SECRET}]])
def test_nothing_under_a_telling_key_is_shown(key: str, value: object) -> None:
    shown = repr(redact({"outer": [{key: value}], "kept": "kept"}))
    assert SECRET not in shown
    assert "12345" not in shown
    assert "kept" in shown


@pytest.mark.parametrize("value", [None, ""])
def test_it_stays_visible_that_no_secret_is_set(value: object) -> None:
    assert redact({"password": value}) == {"password": value}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"the token {TOKEN} is revoked", f"the token {MASK} is revoked"),
        (f"Bearer {JWT}", f"Bearer {MASK}"),
        (f"{TOKEN},{JWT}", f"{MASK},{MASK}"),
        ("postgresql://hub:pa55@db:5432/x", f"postgresql://{MASK}@db:5432/x"),
        ("redis://:pa55@cache/0", f"redis://{MASK}@cache/0"),
        ("amqp://hub:pa@55@mq", f"amqp://{MASK}@mq"),
        ("https://hub:pa:55@api.example.com/a?b=c@d", f"https://{MASK}@api.example.com/a?b=c@d"),
        ("https://k3y@o1.ingest.test/2", f"https://{MASK}@o1.ingest.test/2"),
        ("https://api.test/a?x=1&api_key=s3cr3t#b", f"https://api.test/a?x=1&api_key={MASK}#b"),
        (
            "https://api.test/a?subscription-key=s3cr3t&key=s&x=1",
            f"https://api.test/a?subscription-key={MASK}&key={MASK}&x=1",
        ),
        ("'/jobs?access_token=s3cr3t' failed", f"'/jobs?access_token={MASK}' failed"),
        ("two: http://a:b@c and http://d:e@f", f"two: http://{MASK}@c and http://{MASK}@f"),
    ],
)
def test_secrets_inside_text_are_masked(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact({"event": [text]}) == {"event": [shown]}


@pytest.mark.parametrize(
    "text",
    [
        "GET https://api.example.com:8080/users/a@b.c",
        "https://api.example.com/a:b@c",
        "mail to somebody@example.com",
        "https://api.example.com?to=a@b.c",
        "https://api.example.com/a?page=2&keys=a&monkey=b",
        "sbx_short",
        "a sentence: with a colon @ all",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert redact(text) == text


_VALUES = st.recursive(
    st.just(SECRET) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
)


@given(_VALUES, st.sampled_from(KEYS))
def test_a_secret_is_hidden_however_deep_it_lies(value: object, key: str) -> None:
    assert SECRET not in repr(redact({"x": [{key: value}]}))


# -- output -----------------------------------------------------------------------------------------------------------


def test_a_machine_gets_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="auto"))
    logging.getLogger("signalbox.test").warning("upstream %s\nis away", "shop", extra={"status": 502, "odd": {1, 2}})
    (line,) = lines(capsys.readouterr().out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "upstream shop\nis away", "level": "warning", "logger": "signalbox.test", "status": 502, "odd": "{1, 2}"
    }  # fmt: skip


def test_a_person_gets_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="console"))
    logging.getLogger("signalbox.test").info("upstream is away")
    out = capsys.readouterr().out
    assert "upstream is away" in out
    assert not out.startswith("{")


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_reaches_the_output(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings.model_validate({"format": form}))
    log = logging.getLogger("signalbox.test")
    extra = {"password": SECRET, "call": {"headers": {"authorization": SECRET}}, "url": f"http://a:{SECRET}@b"}
    log.warning("with %s", TOKEN, extra={**extra, "raw": TOKEN.encode(), "error": ValueError(TOKEN)})
    _fail(log)
    out = capsys.readouterr().out
    assert "with " in out
    assert "no way" in out
    assert SECRET not in out
    assert TOKEN not in out


def _fail(log: logging.Logger) -> None:
    password = SECRET
    try:
        _raise(f"no way to postgresql://hub:{password}@db for {TOKEN}")
    except ConnectionError:
        log.exception("failed")


def _raise(message: str) -> None:
    raise ConnectionError(message)


def test_an_exception_in_json_is_text_in_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="json"))
    _fail(logging.getLogger("signalbox.test"))
    (line,) = lines(capsys.readouterr().out)
    assert line["event"] == "failed"
    assert line["exception"].startswith("Traceback")


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(level="warning", format="json"))
    logging.getLogger("signalbox.test").info("quiet")
    logging.getLogger("signalbox.test").warning("loud")
    assert [line["event"] for line in lines(capsys.readouterr().out)] == ["loud"]


def test_other_settings_replace_the_old_ones(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    configure_logging(LogSettings(format="json", file=tmp_path / "one.log"))
    configure_logging(LogSettings(format="json", file=tmp_path / "two.log"))
    logging.getLogger("signalbox.test").warning("once")
    assert len(lines(capsys.readouterr().out)) == 1
    assert (tmp_path / "one.log").read_text() == ""
    assert len(lines((tmp_path / "two.log").read_text())) == 1


def test_the_file_is_json_whatever_the_console_is_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "signalbox.log"
    configure_logging(LogSettings(format="console", file=path))
    logging.getLogger("signalbox.test").warning("grüße %s", TOKEN)
    (line,) = lines(path.read_text(encoding="utf-8"))
    assert line["event"] == f"grüße {MASK}"


def test_the_file_is_rotated_and_the_oldest_dropped(tmp_path: Path) -> None:
    path = tmp_path / "signalbox.log"
    configure_logging(LogSettings(format="json", file=path, file_bytes=10_000, file_count=2))
    for number in range(1_000):
        logging.getLogger("signalbox.test").warning("number %d", number)
    kept = sorted(each.name for each in tmp_path.iterdir())
    assert kept == ["signalbox.log", "signalbox.log.1", "signalbox.log.2"]
    assert all((tmp_path / name).stat().st_size <= 10_000 for name in kept)
    events = [line["event"] for name in reversed(kept) for line in lines((tmp_path / name).read_text())]
    assert events == [f"number {number}" for number in range(1_000 - len(events), 1_000)]


def test_the_server_s_complaint_about_a_broken_off_answer_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="json"))
    configure_logging(LogSettings(format="json"))
    server = logging.getLogger("uvicorn.error")
    server.error("ASGI callable returned without completing response.")
    server.warning("Invalid HTTP request received.")
    server.error("Exception in ASGI application")
    assert [line["event"] for line in lines(capsys.readouterr().out)] == ["Exception in ASGI application"]


@pytest.mark.parametrize("wrong", [{"level": "loud"}, {"file_bytes": 1}, {"file_count": 0}, {"colour": True}])
def test_wrong_settings_are_refused(wrong: Json) -> None:
    with pytest.raises(ValidationError):
        LogSettings.model_validate(wrong)
