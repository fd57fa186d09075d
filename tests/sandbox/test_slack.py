"""The simulated Slack keeps Slack's rules."""

import json
from typing import Any

import pytest

from signalbox.sandbox.inbox import HEADERS
from signalbox.sandbox.scripted import Received, Reply
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.slack import API, TOKEN, SlackApp
from tests.sandbox.conftest import Fetch

HOOK = "/services/T0/B0/X"


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def hook(app: SlackApp, payload: Any, path: str = HOOK) -> Reply:
    return app.answer(Received("POST", path, {}, json.dumps(payload).encode(), 0.0))


def api(app: SlackApp, payload: Any, token: str = TOKEN) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    reply = app.answer(Received("POST", API, headers, json.dumps(payload).encode(), 0.0))
    said: dict[str, Any] = json.loads(reply.body) | {"status": reply.status, "headers": reply.headers}
    return said


def test_one_message_a_second_for_each_channel() -> None:
    app = SlackApp(interval=60)
    assert hook(app, {"text": "a"}).body == b"ok"
    refused = hook(app, {"text": "b"})
    assert (refused.status, refused.headers) == (429, [(b"retry-after", b"60")])
    assert hook(app, {"text": "c"}, "/services/T0/B0/Y").body == b"ok"
    assert api(app, {"channel": "C1", "text": "d"})["ok"] is True
    again = api(app, {"channel": "C1", "text": "e"})
    assert (again["status"], again["error"], again["headers"][-1]) == (429, "ratelimited", (b"retry-after", b"60"))
    assert [message["text"] for message in app.messages] == ["a", "c", "d"]
    assert app.throttled == 2


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        ([], b"invalid_payload"),
        ({}, b"no_text"),
        ({"text": "x" * 40_001}, b"msg_too_long"),
        ({"blocks": [section("x")] * 51}, b"invalid_blocks"),
        ({"blocks": [section("x" * 3_001)]}, b"invalid_blocks"),
        ({"blocks": [section("")]}, b"invalid_blocks"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]}, b"invalid_blocks"),
        ({"blocks": [{"type": "context", "elements": [{"type": "plain_text", "text": ""}]}]}, b"invalid_blocks"),
        ({"blocks": [{"type": "song"}]}, b"invalid_blocks"),
    ],
)
def test_what_slack_does_not_take(payload: object, word: bytes) -> None:
    reply = hook(SlackApp(), payload)
    assert (reply.status, reply.body) == (400, word)


def test_webhooks_and_channels_that_are_no_more() -> None:
    app = SlackApp(interval=0)
    app.removed.add(HOOK)
    app.archived.add("C1")
    app.archived.add("/services/T0/B0/Y")
    assert (hook(app, {"text": "a"}).status, hook(app, {"text": "a"}).body) == (404, b"no_service")
    assert hook(app, {"text": "a"}, "/services/T0/B0/Y").status == 410
    assert api(app, {"channel": "C1", "text": "a"})["error"] == "is_archived"
    assert app.answer(Received("GET", "/else", {}, b"", 0.0)).status == 404


def test_tokens() -> None:
    app = SlackApp()
    message = {"channel": "C1", "text": "a"}
    assert api(app, message, "wrong")["error"] == "invalid_auth"
    assert api(app, message, "")["error"] == "not_authed"
    assert api(app, {"text": "a"})["error"] == "channel_not_found"
    app.revoked.add(TOKEN)
    assert api(app, message)["error"] == "token_revoked"
    assert not app.messages


def test_ids_are_the_last_words_of_the_last_blocks() -> None:
    app = SlackApp(interval=0)
    for word in ("msg_1", "msg_2", "msg_1"):
        context = {"type": "context", "elements": [{"type": "plain_text", "text": f"sales · info · {word}"}]}
        hook(app, {"blocks": [section("x"), context]})
    hook(app, {"text": "without"})
    assert app.ids() == ["msg_1", "msg_2", "msg_1", ""]


async def test_people_see_what_was_accepted(fetch: Fetch) -> None:
    app = SlackApp(interval=0.0)
    app.script(Reply(500))
    header = {"type": "header", "text": {"type": "plain_text", "text": "A customer <b>waits</b>"}}
    note = {"type": "context", "elements": [{"type": "plain_text", "text": "sales · msg_1"}]}
    async with LoopbackServer(app) as server:
        assert b"nothing has come yet" in (await fetch(f"{server.url}/inbox")).body
        assert app.count == 0, "who looks takes no reply from the script"
        message = {"text": "x", "blocks": [header, section("1 &lt; 2 &amp; <https://example.com>"), note]}
        for _ in range(2):
            await fetch(server.url + HOOK, "POST", json.dumps(message).encode())
        page = await fetch(f"{server.url}/inbox?still")
    text = page.body.decode()
    assert text.count("<article>") == 1
    assert "A customer &lt;b&gt;waits&lt;/b&gt;" in text
    assert "1 &lt; 2 &amp; &lt;https://example.com&gt;" in text
    assert "sales · msg_1" in text
    assert page.values("content-security-policy") == [dict(HEADERS)[b"content-security-policy"].decode()]
