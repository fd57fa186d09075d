"""Who may call what, and which credentials reach an upstream."""

import asyncio

import pytest

from signalbox.auth.jwt import JWT_PREFIX
from tests.gateway.conftest import World
from tests.gateway.test_proxy import problem
from tests.support.hub import Header, RunningHub
from tests.support.timing import PATIENCE

GUARDED = {"name": "guarded", "prefix": "/private", "access": "token"}
OPEN = {"name": "raw"}
UNKNOWN = b"sbx_" + b"x" * 40


def bearer(token: str) -> Header:
    return (b"Authorization", b"Bearer " + token.encode())


def credentials(world: World) -> list[tuple[str, str]]:
    return [pair for pair in world.seen.headers if pair[0] in {"authorization", "token", "app-name"}]


async def status(hub: RunningHub, *headers: Header, target: bytes = b"/private/x") -> int:
    return (await hub.ask(target, headers=headers)).status


@pytest.mark.parametrize(
    "how", [(b"Authorization", b"Bearer %b"), (b"Token", b"%b"), (b"authorization", b"bearer  %b")]
)
async def test_a_guarded_upstream_takes_a_token_with_the_scope(world: World, how: Header) -> None:
    hub = await world.hub(GUARDED, OPEN)
    right, wrong = await hub.token("gateway"), await hub.token("statistics:read")
    assert await status(hub, (how[0], how[1] % right.text.encode())) == 200
    assert credentials(world) == []
    assert await status(hub, (how[0], how[1] % wrong.text.encode())) == 403
    assert len(world.raw.calls) == 1


async def test_the_refusals_say_why(world: World) -> None:
    hub = await world.hub(GUARDED, OPEN)
    wrong = await hub.token("statistics:read")
    missing = await hub.ask(b"/private")
    assert problem(missing) == (401, "sign_on_required")
    assert missing.value(b"www-authenticate") == b"Bearer"
    forbidden = await hub.ask(b"/private", headers=[bearer(wrong.text)])
    assert problem(forbidden) == (403, "missing_scope")
    assert b"gateway" in forbidden.body


@pytest.mark.parametrize(
    "header",
    [
        (b"Token", UNKNOWN),
        (b"Authorization", b"Bearer " + UNKNOWN),
        (b"Authorization", b"Basic eDp5"),
        (b"Authorization", b"Bearer foreign"),
        (b"Token", b"foreign"),
        (b"App-name", b"shop"),
    ],
)
async def test_a_guarded_upstream_takes_nothing_else(world: World, header: Header) -> None:
    hub = await world.hub(GUARDED, OPEN)
    assert await status(hub, header) == 401
    assert world.raw.calls == []


@pytest.mark.parametrize(
    "target",
    [
        b"//private/x",
        b"/%70rivate/x",
        b"/open/..%2fprivate/x",
        b"/open/%2e%2E/private/x",
        b"/private%2Fx",
        b"/%2Fprivate",
        b"/open/..;/private",
        b"http://other.test/private/x",
    ],
)
async def test_no_spelling_slips_past_the_guard(world: World, target: bytes) -> None:
    hub = await world.hub(GUARDED, OPEN)
    assert await status(hub, target=target) == 401
    assert world.raw.calls == []
    token = await hub.token("gateway")
    assert await status(hub, bearer(token.text), target=target) == 200


async def test_a_revoked_token_ends_soon_and_a_new_one_works_at_once(world: World) -> None:
    hub = await world.hub(GUARDED, OPEN)
    token = await hub.token("gateway")
    assert await status(hub, bearer(token.text)) == 200
    await hub.revoke(token)
    async with asyncio.timeout(PATIENCE):
        while (answered := await status(hub, bearer(token.text))) == 200:
            await asyncio.sleep(0.01)
    assert answered == 401
    other = await hub.token("gateway")
    assert await status(hub, bearer(other.text)) == 200


async def test_an_open_upstream_is_closed_by_anonymous_scopes(world: World) -> None:
    hub = await world.hub(auth={"anonymous_scopes": []})
    token, wrong = await hub.token("gateway"), await hub.token("statistics:read")
    assert await status(hub, target=b"/x") == 401
    assert await status(hub, (b"Authorization", b"Basic eDp5"), target=b"/x") == 401
    assert await status(hub, bearer(wrong.text), target=b"/x") == 403
    assert world.raw.calls == []
    assert await status(hub, bearer(token.text), target=b"/x") == 200


async def test_an_open_upstream_refuses_a_bad_token_of_ours(world: World) -> None:
    hub = await world.hub()
    for header in ((b"Token", UNKNOWN), (b"Authorization", b"Bearer " + JWT_PREFIX + b"e30.x")):
        assert await status(hub, header) == 401
    assert world.raw.calls == []


FOREIGN = [
    (b"Authorization", b"Basic eDp5"),
    (b"Authorization", b"Bearer foreign-key"),
    (b"Authorization", b"Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x"),
    (b"Authorization", b"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c"),
    (b"Token", b"theirs"),
    (b"App-name", b"shop"),
]


@pytest.mark.parametrize("header", FOREIGN)
async def test_foreign_credentials_pass_unchanged(world: World, header: Header) -> None:
    hub = await world.hub()
    assert await status(hub, header) == 200
    assert credentials(world) == [(header[0].decode().lower(), header[1].decode())]


async def test_foreign_and_own_credentials_go_their_ways(world: World) -> None:
    """An app shows the hub its token and the third party its key, in one request."""
    hub = await world.hub(GUARDED, OPEN)
    token = (await hub.token("gateway")).text.encode()
    assert await status(hub, (b"Token", token), FOREIGN[1], (b"App-name", b"shop")) == 200
    assert credentials(world) == [("authorization", "Bearer foreign-key")]
    assert await status(hub, (b"Authorization", b"Bearer " + token), (b"Token", b"theirs")) == 200
    assert credentials(world) == [("token", "theirs")]


@pytest.mark.parametrize("value", [b"%b", b"Basic %b", b"Bearer %b extra", b"Bearer\t%b", b"Token  %b", b"x %b"])
async def test_a_token_of_ours_in_a_wrong_form_is_refused_and_never_leaks(world: World, value: bytes) -> None:
    hub = await world.hub()
    token = (await hub.token("gateway")).text.encode()
    for _ in range(2):
        assert await status(hub, (b"Authorization", value % token)) in (400, 401)
    assert world.raw.calls == []


async def test_a_token_for_any_app_names_the_app_with_each_call(world: World) -> None:
    hub = await world.hub(GUARDED, OPEN)
    token = await hub.token("gateway", app=None, any_app=True)
    assert await status(hub, bearer(token.text)) == 400
    assert await status(hub, bearer(token.text), (b"App-name", b"\xff")) == 400
    assert await status(hub, bearer(token.text), (b"App-name", b"till")) == 200
    assert credentials(world) == []
