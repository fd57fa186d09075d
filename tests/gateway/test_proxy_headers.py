"""Which headers cross the gateway."""

import re

import pytest

from signalbox.core.asgi import Receive, Scope, Send
from signalbox.sandbox.behaviours import GZIPPED
from tests.gateway.conftest import World
from tests.support.hub import Header, RunningHub, chunked, request


def sent(world: World, *, but: str = "") -> list[tuple[str, str]]:
    """What the upstream got, without the headers that the gateway itself makes."""
    made = {"host", "via", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
    made |= {"x-request-id", "traceparent"}
    return [pair for pair in world.seen.headers if pair[0] not in made or pair[0] == but]


def values(world: World, name: str) -> list[str]:
    return [value for key, value in world.seen.headers if key == name]


async def ask(hub: RunningHub, *headers: Header, target: bytes = b"/x") -> None:
    assert (await hub.ask(target, headers=headers)).status == 200


async def test_no_header_is_added_changed_or_lost(world: World) -> None:
    hub = await world.hub()
    given = [
        (b"X-A", b"1"),
        (b"Accept-Encoding", b"gzip;q=0.5,  br"),
        (b"x-a", b"2"),
        (b"Cookie", b"a=1; b=2"),
        (b"Cookie", b"c=3"),
        (b"X-Empty", b""),
        (b"X-Latin", b"\xe9"),
        (b"Range", b"bytes=0-1"),
    ]
    await ask(hub, *given)
    assert sent(world) == [(name.decode().lower(), value.decode("latin-1")) for name, value in given]


async def test_a_request_without_headers_gets_only_the_named_ones(world: World) -> None:
    hub = await world.hub()
    await ask(hub)
    names = sorted(name for name, _ in world.seen.headers)
    assert names == sorted(
        [
            "host",
            "via",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id",
            "traceparent",
        ]
    )


HOP_BY_HOP = [
    (b"Connection", b"keep-alive, X-Secret"),
    (b"Connection", b"x-other"),
    (b"X-Secret", b"1"),
    (b"X-Other", b"2"),
    (b"Keep-Alive", b"timeout=5"),
    (b"Proxy-Authorization", b"Basic eA=="),
    (b"Proxy-Connection", b"keep-alive"),
    (b"TE", b"trailers"),
    (b"Trailer", b"X-Sum"),
]


async def test_hop_by_hop_headers_of_requests_are_stripped(world: World) -> None:
    hub = await world.hub()
    await ask(hub, *HOP_BY_HOP, (b"X-Stays", b"1"))
    assert sent(world) == [("x-stays", "1")]


async def test_hop_by_hop_headers_of_answers_are_stripped(world: World) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.lower(), value) for name, value in HOP_BY_HOP]
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, (b"x-stays", b"1")]})
        await send({"type": "http.response.body", "body": b"done"})

    hub = await world.hub({"name": "odd", "url": await world.serve(app)}, gateway={"default": "odd"})
    answer = await hub.ask(b"/x")
    assert answer.body == b"done"
    names = {name for name, _ in answer.headers} - {b"date", b"server"}
    assert names == {b"x-stays", b"via", b"x-request-id", b"transfer-encoding"}


async def test_the_framing_is_the_gateway_s_own(world: World) -> None:
    hub = await world.hub()
    framing = [(b"Transfer-Encoding", b"chunked"), (b"Connection", b"transfer-encoding, content-length, host")]
    await hub.ask(b"/x", method=b"POST", headers=framing, body=chunked(b"abc", b"de"))
    assert (values(world, "transfer-encoding"), world.seen.body_received) == (["chunked"], 5)
    await hub.ask(b"/x", method=b"POST", headers=[(b"Connection", b"content-length")], body=b"abc")
    assert (values(world, "content-length"), world.seen.body_received) == (["3"], 3)
    assert values(world, "transfer-encoding") == []


# -- the way --------------------------------------------------------------------------------------------------------

SPOOFED = [
    (b"Forwarded", b"for=198.51.100.1;host=evil.test"),
    (b"X-Forwarded-For", b"198.51.100.1"),
    (b"X-Forwarded-Host", b"evil.test"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Port", b"443"),
]


def way(world: World) -> dict[str, list[str]]:
    names = {"via"} | {name for name, _ in world.seen.headers if "forwarded" in name}
    return {name: values(world, name) for name in names}


async def test_the_way_of_a_request_is_told(world: World) -> None:
    hub = await world.hub()
    await ask(hub)
    assert way(world) == {
        "via": ["1.1 signalbox"],
        "forwarded": ["for=127.0.0.1;host=hub.test;proto=http"],
        "x-forwarded-for": ["127.0.0.1"],
        "x-forwarded-host": ["hub.test"],
        "x-forwarded-proto": ["http"],
    }


async def test_spoofed_accounts_of_the_way_are_replaced(world: World) -> None:
    hub = await world.hub()
    await ask(hub)
    honest = way(world)
    await ask(hub, *SPOOFED)
    assert way(world) == honest


async def test_a_trusted_proxy_is_believed_and_continued(world: World) -> None:
    hub = await world.hub(gateway={"trusted_proxies": ["127.0.0.0/8"]})
    await ask(hub, *SPOOFED, (b"Via", b"1.1 front"))
    assert way(world) == {
        "via": ["1.1 front, 1.1 signalbox"],
        "forwarded": ["for=198.51.100.1;host=evil.test, for=127.0.0.1;host=hub.test;proto=http"],
        "x-forwarded-for": ["198.51.100.1, 127.0.0.1"],
        "x-forwarded-host": ["evil.test"],
        "x-forwarded-proto": ["https"],
        "x-forwarded-port": ["443"],
    }


async def test_a_host_cannot_smuggle_a_parameter_into_forwarded(world: World) -> None:
    hub = await world.hub()
    assert (await hub.ask(b"/x", host=b"a;for=192.0.2.1,for=b")).status == 200
    assert values(world, "forwarded") == ['for=127.0.0.1;host="a;for=192.0.2.1,for=b";proto=http']


@pytest.mark.parametrize("host", [None, b"", b"a b", b"a/b", b"a@b", b"a\\b", b'a"b'])
async def test_a_request_needs_a_valid_host(world: World, host: bytes | None) -> None:
    hub = await world.hub()
    for version in (b"HTTP/1.1", b"HTTP/1.0"):
        assert (await hub.ask(b"/x", host=host, version=version)).status == 400
    assert world.raw.calls == []


@pytest.mark.parametrize("second", [b"hub.test", b"other.test"])
async def test_two_hosts_are_refused_and_the_connection_closed(world: World, second: bytes) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(request(b"/x", headers=[(b"Host", second)]))
        assert (await client.answer()).status == 400
        assert await client.ended()
    assert world.raw.calls == []


# -- identifiers ----------------------------------------------------------------------------------------------------

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_identifiers_are_passed_and_told_to_the_client(world: World) -> None:
    hub = await world.hub()
    headers = [(b"X-Request-ID", b"abc/1"), (b"Traceparent", TRACE), (b"Tracestate", b"a=1")]
    answer = await hub.ask(b"/x", headers=headers)
    assert answer.values(b"x-request-id") == [b"abc/1"]
    assert sent(world, but="x-request-id") == [("x-request-id", "abc/1"), ("tracestate", "a=1")]
    assert values(world, "traceparent") == [TRACE.decode()]


@pytest.mark.parametrize("bad", [b"", b"a b", b"x" * 129, b'"', b"\xe9"])
async def test_missing_or_bad_identifiers_are_made(world: World, bad: bytes) -> None:
    hub = await world.hub()
    headers = [(b"X-Request-ID", bad), (b"Traceparent", b"00-" + bad), (b"Tracestate", b"a=1")]
    answer = await hub.ask(b"/x", headers=headers)
    (made,) = values(world, "x-request-id")
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert answer.values(b"x-request-id") == [made.encode()]
    assert values(world, "traceparent")[0].startswith(f"00-{made}-")
    assert values(world, "tracestate") == []


async def test_every_request_gets_its_own_identifier(world: World) -> None:
    hub = await world.hub()
    seen = {(await hub.ask(b"/x")).value(b"x-request-id") for _ in range(20)}
    assert len(seen) == 20


# -- answers --------------------------------------------------------------------------------------------------------


async def test_cookies_are_passed_and_never_stored(world: World) -> None:
    hub = await world.shop_hub()
    async with hub.client() as client:
        await client.send(request(b"/cookies"))
        answer = await client.answer()
        assert answer.values(b"set-cookie") == [b"session=abc; Path=/; HttpOnly", b"theme=dark; Path=/"]
        await client.send(request(b"/echo"))
        assert b"cookie" not in (await client.answer()).body.lower()


async def test_a_body_is_not_decoded(world: World) -> None:
    hub = await world.shop_hub()
    for headers in ([], [(b"Accept-Encoding", b"gzip")]):
        answer = await hub.ask(b"/gzip", headers=headers)
        assert (answer.value(b"content-encoding"), answer.body) == (b"gzip", GZIPPED)
        assert answer.value(b"content-length") == b"%d" % len(GZIPPED)


async def test_trailers_and_interim_answers_do_not_reach_the_client(world: World) -> None:
    hub = await world.hub()
    for target in (b"/trailers", b"/continue", b"/hints"):
        answer = await hub.ask(target)
        assert (answer.status, answer.body, answer.interim) == (200, b"fine\n", [])
        assert answer.value(b"x-check") is None


# -- what clients of other protocols offer --------------------------------------------------------------------------


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.0"])
async def test_an_offer_to_upgrade_is_passed_over(world: World, upgrade: bytes) -> None:
    """Java's client makes it with every request."""
    hub = await world.hub()
    headers = [
        (b"Connection", b"Upgrade, HTTP2-Settings"),
        (b"Upgrade", upgrade),
        (b"HTTP2-Settings", b"AAMAAABk"),
        (b"X-Stays", b"1"),
    ]
    data = request(b"/first?", method=b"POST", headers=headers, body=b"x" * 1000)
    async with hub.client() as client:
        await client.send(data[:-700])  # the body comes in two pieces
        await client.send(data[-700:] + request(b"/second"))
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    first, second = world.raw.calls
    assert (first.target, first.body_received, first.header("content-length")) == ("/first?", 1000, "1000")
    assert {"upgrade", "connection", "http2-settings"}.isdisjoint(name for name, _ in first.headers)
    assert first.header("x-stays") == "1"
    assert second.target == "/second"


async def test_an_offer_to_upgrade_may_be_split_anywhere(world: World) -> None:
    hub = await world.hub()
    headers = [(b"Connection", b"upgrade"), (b"Upgrade", b"h2c"), (b"Transfer-Encoding", b"chunked")]
    data = request(b"/x", method=b"PUT", headers=headers, body=chunked(b"abc"))
    async with hub.client() as client:
        for position in range(len(data)):
            client.writer.write(data[position : position + 1])
            await client.writer.drain()
        assert (await client.answer()).status == 200
    assert (world.seen.method, world.seen.body_received) == ("PUT", 3)
