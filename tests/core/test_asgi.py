import asyncio

import pytest

from signalbox.core.asgi import WHOLE_ANSWER, Message, Scope, answer, until_gone
from tests.support.timing import PATIENCE

HEADERS = [(b"content-length", b"2")]


@pytest.mark.parametrize(
    ("scope", "kinds"),
    [
        ({"extensions": {WHOLE_ANSWER: None}}, [WHOLE_ANSWER]),
        ({"extensions": {}}, ["http.response.start", "http.response.body"]),
        ({}, ["http.response.start", "http.response.body"]),
    ],
)
async def test_an_answer_is_one_message_where_the_server_takes_that(scope: Scope, kinds: list[str]) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await answer(scope, send, status=201, headers=HEADERS, body=b"{}")
    assert [message["type"] for message in sent] == kinds
    assert (sent[0]["status"], sent[0]["headers"], sent[-1]["body"]) == (201, HEADERS, b"{}")


async def test_one_who_waits_for_the_client_to_leave_throws_its_body_away() -> None:
    messages: asyncio.Queue[Message] = asyncio.Queue()
    waiting = asyncio.create_task(until_gone(messages.get))
    for body in (b"a", b"b"):
        messages.put_nowait({"type": "http.request", "body": body, "more_body": True})
    while not messages.empty():
        await asyncio.sleep(0)
    assert not waiting.done()
    messages.put_nowait({"type": "http.disconnect"})
    async with asyncio.timeout(PATIENCE):
        await waiting
