"""Which request goes where, and as what; checked byte for byte on the wire."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox.gateway.paths import sanitize_path
from tests.gateway.conftest import World
from tests.support.hub import Answer, RunningHub, request

SAME_WORLD = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def problem(answer: Answer) -> tuple[int, str]:
    """Status and code of an answer of the hub itself."""
    assert answer.value(b"content-type") == b"application/problem+json"
    told = json.loads(answer.body)
    assert told["status"] == answer.status
    return answer.status, told["code"]


async def owner(hub: RunningHub, world: World, target: bytes, host: bytes = b"hub.test") -> str:
    """What ``raw`` was asked for, or whose answer it was."""
    before = len(world.raw.calls)
    answer = await hub.ask(target, host=host)
    if len(world.raw.calls) == before:
        return "hub" if answer.status == 200 else f"{answer.status}"
    return world.seen.target


# -- whose path it is ---------------------------------------------------------------------------------------------


async def test_own_paths_are_answered_here_and_all_others_sent_on(world: World) -> None:
    hub = await world.hub()
    for own in (b"/healthz", b"/readyz", b"/metrics", b"/openapi.json", b"/%68ealthz", b"/x/../healthz"):
        assert await owner(hub, world, own) == "hub"
    for foreign in ("/", "/categories/MLA97994", "/healthz/x", "/api", "/api/nothing", "/metricsx"):
        assert await owner(hub, world, foreign.encode()) == foreign


async def test_a_request_reaches_the_upstream_and_its_answer_the_client(world: World) -> None:
    hub = await world.shop_hub()
    answer = await hub.ask(b"/categories/MLA97994")
    assert (answer.status, answer.value(b"content-type")) == (200, b"application/json")
    assert json.loads(answer.body)["id"] == "MLA97994"
    assert (await hub.ask(b"/categories/none")).status == 404


async def test_the_longest_prefix_wins_and_strip_prefix_takes_it_off(world: World) -> None:
    hub = await world.hub(
        {"name": "a", "prefix": "/a", "url": world.raw.url + "/at-a"},
        {"name": "ab", "prefix": "/a/b", "url": world.raw.url + "/at-ab/", "strip_prefix": True},
    )
    assert await owner(hub, world, b"/a") == "/at-a/a"
    assert await owner(hub, world, b"/a/bc?x") == "/at-a/a/bc?x"
    assert await owner(hub, world, b"/a/b/c") == "/at-ab/c"
    assert await owner(hub, world, b"/a/b?x=1") == "/at-ab/?x=1"
    assert await owner(hub, world, b"/ab") == "404"


async def test_an_upstream_with_a_host_owns_every_path_there(world: World) -> None:
    hub = await world.hub(
        {"name": "host", "host": "api.test"}, {"name": "all", "prefix": "/", "url": "http://127.0.0.1:1"}
    )
    for target in ("/healthz", "/api/statistics/", "/docs", "/x"):
        assert await owner(hub, world, target.encode(), b"API.test:8000") == target
    assert await owner(hub, world, b"/healthz", b"hub.test") == "hub"
    assert await owner(hub, world, b"/x", b"other.test") == "502"


async def test_nobody_s_path_is_404(world: World) -> None:
    hub = await world.hub({"name": "shop", "prefix": "/shop"})
    answer = await hub.ask(b"/shopping")
    assert problem(answer) == (404, "no_upstream")
    assert answer.value(b"x-request-id")
    assert world.raw.calls == []


async def test_the_connection_survives_an_answer_of_the_hub(world: World) -> None:
    hub = await world.hub({"name": "shop", "prefix": "/shop"})
    async with hub.client() as client:
        for target, status in ((b"/none", 404), (b"/shop/a", 200), (b"/healthz", 200), (b"/shop/b", 200)):
            await client.send(request(target))
            assert (await client.answer()).status == status


# -- what is sent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/a%2Fb/%252F%2f",
        "//a///b//",
        "/a+b?q=a+b%20c",
        "/x?a=1&a=2&&b",
        "/x?a;b=1",
        "/x?",
        "/x??",
        "/?=&",
        "/x?u=http://other.test/../a%2e%2e/%00",
        "/a;v=1/:@!$&'()*,=~",
        "/x?filter[a]=[1]",
        "/%C3%A9",
        "/" + "long/" * 8_000,
    ],
)
async def test_a_valid_target_stays_byte_for_byte(world: World, target: str) -> None:
    hub = await world.hub()
    assert (await hub.ask(target.encode())).status == 200
    assert world.seen.target == target


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"/a/../b", "/b"),
        (b"/a/%2e%2E/.%2e/b/.", "/b/"),
        (b"/../../etc", "/etc"),
        (b'/a"<>\\^`{|}?q="{}', "/a%22%3C%3E%5C%5E%60%7B%7C%7D?q=%22%7B%7D"),
        (b"/100%?x=%zz", "/100%25?x=%25zz"),
    ],
)
async def test_what_no_uri_may_hold_is_resolved_or_encoded(world: World, target: bytes, sent: str) -> None:
    hub = await world.hub()
    assert (await hub.ask(target)).status == 200
    assert world.seen.target == sent


@pytest.mark.parametrize("target", [b"/a#b", b"/a?b#c", b"/a b", b"/\xc3\xa9", b"/a\x00", b"/a\x7f", b"a", b"?a"])
async def test_what_is_no_target_at_all_is_refused(world: World, target: bytes) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(request(target))
        status, _, _ = await client.head()
    assert status == 400
    assert world.raw.calls == []


@pytest.fixture
async def two_sides(world: World) -> RunningHub:
    """A hub with all of ``/shop`` inside of one upstream's base and everything else outside, at another's."""
    return await world.hub(
        {"name": "shop", "prefix": "/shop", "strip_prefix": True, "url": world.raw.url + "/inside"},
        {"name": "raw", "url": world.raw.url + "/outside"},
    )


@SAME_WORLD
@given(
    st.lists(
        st.sampled_from(["shop", "..", ".", "%2e%2e", "%2E", "", "a", "%73hop", "%2F", "..%2f", "...", "b;..", "a%20"]),
        max_size=8,
    )
)
async def test_what_is_routed_is_what_is_sent(two_sides: RunningHub, world: World, parts: list[str]) -> None:
    target = "/" + "/".join(parts)
    resolved = sanitize_path(target.encode())
    before = len(world.raw.calls)
    assert (await two_sides.ask(target.encode())).status == 200
    assert len(world.raw.calls) == before + 1
    sent = world.seen.target
    assert sanitize_path(sent.encode()).decode() == sent
    first = next((part for part in resolved.split(b"/") if part), b"")
    if first in (b"shop", b"%73hop"):
        assert sent == "/inside" + (resolved.partition(first)[2].decode() or "/")
    else:
        assert sent == "/outside" + resolved.decode()


@pytest.mark.parametrize("target", [b"http://evil.test/x?a=1", b"http://127.0.0.1:1/x?a=1", b"HTTP://evil.test/x?a=1"])
async def test_an_absolute_target_changes_no_host(world: World, target: bytes) -> None:
    hub = await world.hub()
    assert (await hub.ask(target)).status == 200
    assert world.seen.target == "/x?a=1"
    assert f"http://{world.seen.header('host')}" == world.raw.url
    assert world.seen.header("x-forwarded-host") == "hub.test"


async def test_an_absolute_target_without_a_path_means_the_root(world: World) -> None:
    hub = await world.hub()
    assert (await hub.ask(b"http://evil.test")).status == 200
    assert world.seen.target == "/"


async def test_a_host_header_chooses_no_unknown_server(world: World) -> None:
    hub = await world.hub()
    assert (await hub.ask(b"/x", host=b"evil.test")).status == 200
    assert f"http://{world.seen.header('host')}" == world.raw.url


@pytest.mark.parametrize("data", [b"CONNECT evil.test:443", b"CONNECT /x", b"OPTIONS *"])
async def test_there_is_no_tunnel_and_no_target_without_a_path(world: World, data: bytes) -> None:
    hub = await world.hub()
    answer = await hub.exchange(data + b" HTTP/1.1\r\nHost: hub.test\r\n\r\n")
    assert answer.status in (400, 404)
    assert world.raw.calls == []


# -- methods --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "PURGE", "QUERY"],
)
async def test_every_method_is_passed_on(world: World, method: str) -> None:
    hub = await world.hub()
    assert (await hub.ask(b"/x", method=method.encode())).status == 200
    assert (world.seen.method, world.seen.target) == (method, "/x")


async def test_head_has_the_headers_of_get_and_no_body(world: World) -> None:
    hub = await world.shop_hub()
    async with hub.client() as client:
        for _ in range(2):  # nothing of a body is left in the connection, on either side
            await client.send(request(b"/bytes/100000", method=b"HEAD"))
            answer = await client.answer(method=b"HEAD")
            assert (answer.status, answer.value(b"content-length")) == (200, b"100000")
        await client.send(request(b"/bytes/10"))
        assert (await client.answer()).body == bytes(range(10))


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(world: World, status: int) -> None:
    hub = await world.shop_hub()
    async with hub.client() as client:
        for _ in range(2):
            await client.send(request(b"/status/%d" % status))
            answer = await client.answer()
            assert (answer.status, answer.value(b"content-length")) == (status, None)
            assert answer.value(b"transfer-encoding") is None


@pytest.mark.parametrize("status", [200, 201, 202, 206, 301, 400, 401, 404, 409, 418, 429, 500, 503, 599])
async def test_every_status_is_passed_on(world: World, status: int) -> None:
    hub = await world.shop_hub()
    answer = await hub.ask(b"/status/%d" % status)
    assert (answer.status, json.loads(answer.body)) == (status, {"status": status})


async def test_a_redirect_is_the_client_s_to_follow(world: World) -> None:
    hub = await world.shop_hub()
    answer = await hub.ask(b"/redirect")
    assert (answer.status, answer.value(b"location")) == (302, b"/categories/MLA1")
    assert world.shop.tally.requests == 1
