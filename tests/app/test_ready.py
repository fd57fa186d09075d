"""Answers at hand, through the protocol at the socket: which requests get them, and that the others lose nothing."""

from collections.abc import AsyncIterator, Mapping

import pytest

from signalbox.app.features import Feature
from signalbox.auth.doors import Poll, Ready
from signalbox.auth.principal import Principal
from signalbox.core.asgi import Receive, Scope, Send, answer
from tests.app.conftest import Site, open_site
from tests.support.databases import Place
from tests.support.hub import Client, request, settings_at

PATH = b"/api/hand"


def find(_headers: Mapping[bytes, bytes], _parameters: Mapping[str, str], _who: Principal, _now: int) -> Ready | None:
    return Ready.of([(b"content-type", b"text/plain")], b"ready")


async def handle(scope: Scope, _receive: Receive, send: Send, _principal: Principal) -> None:
    await answer(scope, send, status=200, headers=[(b"content-length", b"5")], body=b"usual")


POLLS = [
    Poll(path=PATH.decode(), scope=None, handle=handle, at_once=find, summary="Hand", answer=None),
    Poll(path=PATH.decode() + "/never", scope=None, handle=handle, summary="Never", answer=None),
]


@pytest.fixture
async def hand(sqlite_place: Place) -> AsyncIterator[Site]:
    settings = settings_at(sqlite_place, root_path="/b")
    async with open_site(settings, extra=[lambda *_: Feature("hand", polls=POLLS)]) as opened:
        yield opened


@pytest.mark.parametrize("path", [PATH, PATH + b"/", b"/b" + PATH, b"/b" + PATH + b"/"])
async def test_a_plain_get_is_answered_at_once(hand: Site, path: bytes) -> None:
    got = await hand.running.ask(path)
    assert (got.status, got.body, got.whole) == (200, b"ready", True)
    assert [name for name, _ in got.headers] == [b"content-type", b"content-length", b"date", b"x-request-id"]


@pytest.mark.parametrize(
    "unusual",
    [
        request(PATH + b"?a=1"),
        request(PATH + b"?"),
        request(b"/x/.." + PATH),
        request(PATH + b"/never"),
        request(PATH, version=b"HTTP/1.0"),
        request(PATH, headers=[(b"Connection", b"close")]),
        request(PATH, body=b"a body"),
        request(PATH, headers=[(b"X-A", b"1"), (b"X-A", b"2")]),
        request(PATH, headers=[(b"Connection", b"upgrade"), (b"Upgrade", b"websocket")]),
        request(PATH, headers=[(b"Expect", b"100-continue")]),
    ],
)
async def test_whatever_else_is_served_in_the_usual_way(hand: Site, unusual: bytes) -> None:
    got = await hand.running.exchange(unusual)
    assert (got.status, got.body) == (200, b"usual")


@pytest.mark.parametrize("hosts", [(), (b"a b",), (b"a", b"b")])
async def test_a_request_without_one_valid_host_is_refused(hand: Site, hosts: tuple[bytes, ...]) -> None:
    headers = [(b"Host", host) for host in hosts]
    assert (await hand.running.ask(PATH, host=None, headers=headers)).status == 400


async def test_head_and_post_are_not_answered_with_a_gets_answer(hand: Site) -> None:
    assert (await hand.running.ask(PATH, method=b"HEAD")).status == 200
    assert (await hand.running.ask(PATH, method=b"POST")).status == 405


async def test_answers_come_in_the_order_of_requests(hand: Site) -> None:
    """Those at hand wait for one that is under way, and what follows them finds the connection as it should be."""
    later = PATH + b"?"
    client = await Client.connect(hand.running.port)
    try:
        await client.send(
            request(PATH) * 2 + request(later) + request(PATH) + request(later, body=b"x") + request(PATH)
        )
        bodies = [(await client.answer()).body for _ in range(6)]
        assert bodies[:3] == [b"ready", b"ready", b"usual"]
        assert bodies[4] == b"usual", "it had a body"
        await client.send(request(PATH))
        assert (await client.answer()).body == b"ready"
    finally:
        await client.close()


async def test_nonsense_behind_an_answer_is_refused(hand: Site) -> None:
    client = await Client.connect(hand.running.port)
    try:
        await client.send(request(PATH) + b"nonsense\r\n\r\n")
        assert (await client.answer()).body == b"ready"
        assert (await client.answer()).status == 400
        assert await client.ended()
    finally:
        await client.close()


async def test_requests_that_come_in_pieces_are_answered(hand: Site) -> None:
    client, whole = await Client.connect(hand.running.port), request(PATH)
    try:
        for middle in (1, len(whole) // 2, len(whole) - 1):
            await client.send(whole[:middle])
            await client.send(whole[middle:])
            assert (await client.answer()).body == b"ready"
    finally:
        await client.close()


async def test_an_answer_names_the_request_as_its_caller_does(hand: Site) -> None:
    named = await hand.running.ask(PATH, headers=[(b"X-Request-ID", b"mine")])
    odd = await hand.running.ask(PATH, headers=[(b"X-Request-ID", b"not fit for a log")])
    assert named.value(b"x-request-id") == b"mine"
    assert len(odd.value(b"x-request-id") or b"") == 32
