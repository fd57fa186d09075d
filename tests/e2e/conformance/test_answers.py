"""Answers on the wire: their framing, their order, and what the hub makes of an upstream's bad ones (RFC 9112)."""

import asyncio
import json

import pytest

from tests.e2e.conformance.conftest import GATEWAY, OWN, Hub, code
from tests.support.hub import Answer, chunked, request
from tests.support.timing import PATIENCE, until

CHUNKED = [(b"Transfer-Encoding", b"chunked")]
SHOP = b"shop.test"

# -- bodies, or none --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "host", "length"),
    [(OWN, b"hub.test", True), (b"/bytes/1000", SHOP, True), (b"/stream/3", SHOP, False), (b"/none/of/it", SHOP, True)],
)
async def test_head_is_get_without_a_body(hub: Hub, target: bytes, host: bytes, length: bool) -> None:
    client = await hub.connect()
    await client.send(request(target, host=host))
    get = await client.answer()
    await client.send(request(target, method=b"HEAD", host=host) + request(OWN))
    head = await client.answer(method=b"HEAD")
    assert head.status == get.status
    assert head.value(b"content-length") == (get.value(b"content-length") if length else None)
    assert (await client.answer()).status == 200  # nothing stood between the two
    await client.close()


@pytest.mark.parametrize("status", [204, 304])
async def test_some_answers_have_no_body(hub: Hub, status: int) -> None:
    client = await hub.connect()
    await client.send(request(b"/status/%d" % status, host=SHOP) + request(OWN))
    answer = await client.answer()
    assert answer.status == status
    assert answer.values(b"transfer-encoding") == answer.values(b"content-length") == []
    assert (await client.answer()).status == 200
    await client.close()


async def test_a_body_where_none_may_be_reaches_nobody(hub: Hub) -> None:
    client = await hub.connect()
    await client.send(request(b"/no-body") + request(b"/no-body") + request(OWN))
    statuses = [(await client.answer()).status for _ in range(3)]
    assert statuses == [204, 204, 200]
    await client.close()


async def test_two_cookies_stay_two(hub: Hub) -> None:
    answer = await hub.exchange(request(b"/cookies"))
    assert answer.values(b"set-cookie") == [b"a=1; Path=/", b"b=2, c=3"]


@pytest.mark.parametrize("target", [OWN, GATEWAY, b"/bad-length", b"/healthz/none", b"/auth/me"])
async def test_every_answer_of_the_hub_s_own_has_a_date_and_one_frame(hub: Hub, target: bytes) -> None:
    answer = await hub.exchange(request(target))
    framing = answer.values(b"content-length") + answer.values(b"transfer-encoding")
    assert len(framing) == 1
    assert len(answer.values(b"x-request-id")) == 1
    if answer.value(b"content-type") == b"application/problem+json":
        assert len(answer.values(b"date")) == 1


# -- one after the other ----------------------------------------------------------------------------------------------


async def test_requests_sent_at_once_are_answered_in_order(hub: Hub) -> None:
    kinds = [(b"/delay/%d" % (10 * (9 - number)), SHOP) for number in range(10)]  # the first take longest
    kinds += [(OWN, b"hub.test"), (b"/bytes/100000", SHOP), (GATEWAY, b"hub.test"), (b"/stream/3", SHOP)]
    client = await hub.connect()
    await client.send(b"".join(request(target, host=host) for target, host in kinds))
    answers = [await client.answer() for _ in kinds]
    assert [json.loads(answer.body)["delayed_ms"] for answer in answers[:10]] == [90 - 10 * each for each in range(10)]
    assert answers[10].status == 200
    assert [len(answer.body) for answer in answers[11:]] == [100_000, 5, 24]
    await client.close()


async def test_bodies_sent_at_once_stay_with_their_requests(hub: Hub) -> None:
    bodies = [b"%d" % number * (number * 1_000 + 1) for number in range(8)]
    client = await hub.connect()
    for number, body in enumerate(bodies):
        target = b"/echo/%d" % number
        if number % 2:
            await client.send(request(target, method=b"POST", host=SHOP, body=body))
        else:
            halves = filter(None, (body[:500], body[500:]))
            await client.send(request(target, method=b"POST", host=SHOP, headers=CHUNKED) + chunked(*halves))
    told = [json.loads((await client.answer()).body) for _ in bodies]
    assert [each["body_length"] for each in told] == [len(body) for body in bodies]
    await client.close()


async def test_a_request_may_come_a_byte_at_a_time(hub: Hub) -> None:
    data = request(GATEWAY, method=b"POST", headers=CHUNKED) + chunked(b"hello", b"world")
    client = await hub.connect()
    for place in range(len(data)):
        await client.send(data[place : place + 1])
        await asyncio.sleep(0)
    assert (await client.answer()).body == b"fine\n"
    await client.close()


async def test_requests_behind_one_that_asks_to_close_are_not_served(hub: Hub) -> None:
    before = len(hub.seen())
    answer = await hub.only_answer(request(GATEWAY, headers=[(b"Connection", b"close")]) + request(b"/fine/late"))
    assert (answer.status, answer.value(b"connection")) == (200, b"close")
    assert len(hub.seen()) == before + 1


# -- old clients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [[], [(b"Connection", b"keep-alive")]], ids=["", "keep-alive"])
@pytest.mark.parametrize(("target", "host"), [(OWN, b"a"), (GATEWAY, b"a"), (b"/stream/3", SHOP)])
async def test_http_1_0_gets_no_chunks_and_one_answer(
    hub: Hub, target: bytes, host: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    client = await hub.connect()
    await client.send(request(target, host=host, version=b"HTTP/1.0", headers=headers))
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body
    await client.close()


@pytest.mark.parametrize("target", [b"/auth/token", GATEWAY])
async def test_http_1_0_is_never_told_to_go_on(hub: Hub, target: bytes) -> None:
    expect = [(b"Expect", b"100-continue")]
    client = await hub.connect()
    await client.send(request(target, method=b"POST", version=b"HTTP/1.0", headers=expect, body=b"hello"))
    assert b" 100 " not in await client.rest()
    await client.close()


# -- 100-continue -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")])
@pytest.mark.parametrize("target", [b"/auth/token", GATEWAY])
async def test_a_client_that_waits_is_told_to_go_on(hub: Hub, target: bytes, framing: tuple[bytes, bytes]) -> None:
    form = (b"Content-Type", b"application/x-www-form-urlencoded")
    client = await hub.connect()
    await client.send(request(target, method=b"POST", headers=[(b"Expect", b"100-Continue"), framing, form]))
    assert await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), PATIENCE) == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"hello" if framing[1] == b"5" else chunked(b"hello"))
    answer = await client.answer()
    assert (answer.status, answer.interim) == (200 if target == GATEWAY else 422, [])
    await client.send(request(OWN))
    assert (await client.answer()).status == 200
    await client.close()


@pytest.mark.parametrize("target", [b"/api/statistics/", b"/fine/too/large"])
async def test_a_body_that_is_refused_unseen_ends_the_connection(hub: Hub, target: bytes) -> None:
    before = len(hub.seen())
    length = b"%d" % (len(request(b"/smuggled")) if target.startswith(b"/api") else 2_000_000)
    headers = [(b"Expect", b"100-continue"), (b"Content-Length", length)]
    answer = await hub.only_answer(request(target, method=b"POST", headers=headers) + request(b"/smuggled"))
    assert answer.status in {401, 405, 413}
    assert (answer.value(b"connection"), answer.interim) == (b"close", [])
    assert len(hub.seen()) == before


# -- bad answers of upstreams -----------------------------------------------------------------------------------------

NO_HEAD = [
    *("close", "reset", "garbage", "half-head", "huge-head", "bad-header", "bare-lf", "folded", "nul"),
    *("bad-length", "negative-length", "signed-length", "two-lengths", "length-and-chunked", "space-before-colon"),
    "switch",
]
NO_BODY = ["cut", "cut-chunked", "bad-chunk", "big-chunk", "lf-chunk", "reset-body"]


@pytest.mark.parametrize("what", NO_HEAD)
async def test_an_upstream_s_bad_head_is_502(hub: Hub, what: str) -> None:
    answer = await hub.exchange(request(f"/{what}".encode()))
    assert (answer.status, code(answer), answer.whole) == (502, "upstream_failed", True)


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("what", NO_BODY)
async def test_an_upstream_s_bad_body_is_an_abort(hub: Hub, what: str, version: bytes) -> None:
    client = await hub.connect()
    await client.send(request(f"/{what}".encode(), version=version) + request(OWN))
    try:
        answer = await client.answer() if version == b"HTTP/1.1" else await _old_answer(client.reader)
    except (asyncio.IncompleteReadError, ConnectionError):
        return  # not even a head
    assert answer.status == 502 or not answer.whole
    await client.close()


async def _old_answer(reader: asyncio.StreamReader) -> Answer:
    """An answer whose end is that of the connection: whole unless that is reset, or its length promised more."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    try:
        body = await asyncio.wait_for(reader.read(-1), PATIENCE)
    except ConnectionError:
        return Answer(status, [], b"", whole=False)
    length = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2]).get(b"content-length")
    return Answer(status, [], body, whole=length is None or len(body) == int(length))


async def test_a_second_answer_of_an_upstream_reaches_nobody(hub: Hub) -> None:
    client = await hub.connect()
    for _ in range(3):
        await client.send(request(b"/extra") + request(GATEWAY))
        assert [(await client.answer()).body for _ in range(2)] == [b"fine\n", b"fine\n"]
    await client.close()


async def test_a_body_that_an_upstream_sends_to_head_reaches_nobody(hub: Hub) -> None:
    client = await hub.connect()
    for _ in range(3):
        await client.send(request(GATEWAY, method=b"HEAD") + request(GATEWAY))
        head, get = await client.answer(method=b"HEAD"), await client.answer()
        assert (head.status, head.value(b"content-length")) == (200, b"5")
        assert (get.status, get.body) == (200, b"fine\n")
    await client.close()


async def test_interim_answers_and_trailers_of_an_upstream_are_passed_over(hub: Hub) -> None:
    for target in (b"/continue", b"/hints", b"/trailers"):
        answer = await hub.exchange(request(target))
        assert (answer.status, answer.interim, answer.body) == (200, [], b"fine\n")


async def test_an_answer_up_to_the_end_of_its_connection_is_framed_anew(hub: Hub) -> None:
    client = await hub.connect()
    for _ in range(2):
        await client.send(request(b"/eof"))
        answer = await client.answer()
        assert (answer.body, answer.value(b"transfer-encoding")) == (b"until the end\n", b"chunked")
    await client.close()


async def test_a_client_that_leaves_in_the_middle_ends_the_upstream_s_work(hub: Hub) -> None:
    aborted = hub.shop.app.tally.aborted
    client = await hub.connect()
    await client.send(request(b"/stream/100000/5", host=SHOP))
    await client.head()
    client.abort()
    await until(lambda: hub.shop.app.tally.aborted == aborted + 1)
