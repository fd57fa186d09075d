import json
from typing import Any

from signalbox.sandbox.scripted import Received, Reply
from signalbox.sandbox.teams import LARGEST, TeamsApp

CARD: dict[str, Any] = {"attachments": [{"contentType": "application/vnd.microsoft.card.adaptive"}]}


def call(app: TeamsApp, message: object) -> Reply:
    return app.answer(Received("POST", "/workflows/x", {}, json.dumps(message).encode(), 0.0))


def test_a_card_is_taken() -> None:
    app = TeamsApp()
    assert call(app, CARD).status == 202
    assert list(app.messages) == [CARD]


def test_what_teams_does_not_take() -> None:
    app = TeamsApp()
    assert call(app, {"text": "a"}).status == 400
    assert call(app, CARD | {"text": "a" * LARGEST}).status == 413
    assert not app.messages


def test_more_than_so_many_in_a_second_are_throttled() -> None:
    app = TeamsApp(per_second=2)
    replies = [call(app, CARD) for _ in range(3)]
    assert [reply.status for reply in replies] == [202, 202, 429]
    assert replies[-1].headers == [(b"retry-after", b"1")]
    assert app.throttled == 1
