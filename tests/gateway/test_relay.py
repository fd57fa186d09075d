"""Whole answers over ASGI, with and without the extension of our own server; streams and tunnels have tests at the
socket in test_proxy_bodies.py and test_websocket.py."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from signalbox.core.asgi import WHOLE_ANSWER
from signalbox.gateway.relay import send_whole

Message = MutableMapping[str, Any]


@pytest.mark.parametrize(
    ("scope", "kinds"),
    [
        ({"extensions": {WHOLE_ANSWER: None}}, [WHOLE_ANSWER]),
        ({"extensions": {}}, ["http.response.start", "http.response.body"]),
        ({}, ["http.response.start", "http.response.body"]),
    ],
)
async def test_a_whole_answer_is_one_message_where_the_server_takes_that(scope: Any, kinds: list[str]) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await send_whole(scope, send, status=201, headers=[(b"a", b"b")], body=b"abc")
    assert [message["type"] for message in sent] == kinds
    assert (sent[0]["status"], sent[0]["headers"], sent[-1]["body"]) == (201, [(b"a", b"b")], b"abc")
