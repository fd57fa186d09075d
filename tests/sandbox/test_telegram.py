import json
from typing import Any

import pytest

from signalbox.sandbox.scripted import Received, Reply
from signalbox.sandbox.telegram import TelegramApp, refused


def call(app: TelegramApp, message: dict[str, Any], path: str = "/bot1:a/sendMessage") -> Reply:
    return app.answer(Received("POST", path, {}, json.dumps(message).encode(), 0.0))


def test_messages_are_numbered() -> None:
    app = TelegramApp("1:a")
    replies = [call(app, {"chat_id": "-1", "text": "<b>a</b> &amp; b"}) for _ in range(2)]
    assert [json.loads(reply.body)["result"]["message_id"] for reply in replies] == [1, 2]


@pytest.mark.parametrize(
    ("message", "description"),
    [
        ({"chat_id": "-1", "text": "<script>"}, "can't parse entities"),
        ({"chat_id": "-1", "text": "a" * 4_097}, "too long"),
        ({"chat_id": "-1", "text": "🚂" * 2_049}, "too long"),
        ({"chat_id": "-1", "text": "<b></b>"}, "text is empty"),
        ({"text": "a"}, "chat_id is empty"),
    ],
)
def test_what_telegram_does_not_take(message: dict[str, Any], description: str) -> None:
    app = TelegramApp()
    reply = call(app, message)
    assert (reply.status, description in json.loads(reply.body)["description"]) == (400, True)
    assert not app.messages


def test_markup_does_not_count() -> None:
    assert call(TelegramApp(), {"chat_id": "-1", "text": "<b>" + "&amp;" * 4_096 + "</b>"}).status == 200


@pytest.mark.parametrize("path", ["/bot2:b/sendMessage", "/botx", "/"])
def test_unknown_bots(path: str) -> None:
    assert call(TelegramApp("1:a"), {"chat_id": "-1", "text": "a"}, path).status == 401


def test_how_long_to_wait_stands_in_the_body() -> None:
    reply = refused(429, "Too Many Requests: retry after 5", retry_after=5)
    assert json.loads(reply.body)["parameters"] == {"retry_after": 5}
