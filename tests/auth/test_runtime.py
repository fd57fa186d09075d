from collections.abc import AsyncIterator
from dataclasses import replace

import jwt as pyjwt
import pytest

from signalbox.auth import service, users
from signalbox.auth.errors import (
    AppNameRequiredError,
    InvalidAppNameError,
    InvalidTokenError,
    WeakPasswordError,
)
from signalbox.auth.jwt import JWT_PREFIX
from signalbox.auth.principal import Principal
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.settings import AuthSettings
from signalbox.auth.sign_in import LoginRequest
from signalbox.core.secrets import Secret
from signalbox.core.times import MINUTE
from signalbox.infra.context import Context
from tests.auth.conftest import (
    PASSWORD,
    Desk,
    bearer,
    new_runtime,
    refused,
    sign_in,
    signed_on,
    until_refused,
    who,
)
from tests.support.databases import Place


@pytest.fixture
async def elsewhere(place: Place, desk: Desk) -> AsyncIterator[Desk]:
    """The desk of another process on the same database."""
    database = place.open()
    yield Desk(replace(desk.context, db=database), desk.clock)
    await database.close()


# -- app tokens -------------------------------------------------------------------------------------------------


async def test_without_a_credential_one_is_anonymous(runtime: AuthRuntime) -> None:
    anonymous = Principal("anonymous", "anonymous", None, frozenset({"gateway"}))
    assert await runtime.authenticate([(b"accept", b"*/*")]) == anonymous == runtime.anonymous


async def test_an_app_token_is_sent_in_either_header(desk: Desk, runtime: AuthRuntime) -> None:
    text = (await desk.create_token("tasks:read", "gateway")).text
    shop = Principal("app", "shop", "shop", frozenset({"tasks:read", "gateway"}))
    assert await runtime.authenticate([(b"token", text.encode())]) == shop
    assert await runtime.authenticate(bearer(text)) == shop
    assert runtime.lookup(text.encode()) == shop
    assert runtime.lookup(text.encode(), app_name=b"ignored") == shop


async def test_only_who_is_remembered_is_recalled(desk: Desk, runtime: AuthRuntime) -> None:
    text = (await desk.create_token("tasks:read", any_app=True)).text
    headers = [(b"token", text.encode()), (b"app-name", b"shop")]
    assert runtime.recall(dict(headers), at=desk.now) is None
    known = await runtime.authenticate(headers)
    for _ in range(2):
        assert runtime.recall(dict(headers), at=desk.now) == known
        assert (
            runtime.recall({b"authorization": b"bearer " + text.encode(), b"app-name": b"shop"}, at=desk.now) == known
        )
    assert runtime.recall({b"token": text.encode(), b"app-name": b"bar"}, at=desk.now) != known
    assert runtime.recall({b"accept": b"*/*"}, at=desk.now) == runtime.anonymous
    assert runtime.recall({b"token": b"sbx_" + b"x" * 40}, at=desk.now) is None
    assert runtime.recall({**dict(headers), b"authorization": b"Bearer x"}, at=desk.now) is None, (
        "which counts is for others"
    )
    assert runtime.recall({b"authorization": b"Basic eDp5"}, at=desk.now) is None
    with pytest.raises(AppNameRequiredError):
        runtime.recall(dict(headers[:1]), at=desk.now)


async def test_a_revoked_token_is_recalled_no_more(desk: Desk, runtime: AuthRuntime) -> None:
    issued = await desk.create_token("tasks:read")
    headers = {b"token": issued.text.encode()}
    await runtime.authenticate(list(headers.items()))
    assert runtime.recall(headers, at=desk.now) is not None
    await desk.revoke(issued.token)
    await runtime.synchronise()
    assert runtime.recall(headers, at=desk.now) is None


async def test_a_new_token_works_at_once_everywhere(elsewhere: Desk, runtime: AuthRuntime) -> None:
    for _ in range(10):
        text = (await elsewhere.create_token()).text
        assert (await who(runtime, text)).app == "shop"


async def test_a_revoked_token_fails_soon_everywhere(elsewhere: Desk, runtime: AuthRuntime) -> None:
    issued, kept = await elsewhere.create_token(), await elsewhere.create_token()
    await who(runtime, issued.text)
    await who(runtime, kept.text)
    await elsewhere.revoke(issued.token)
    await until_refused(runtime, issued.text)
    assert await refused(runtime, issued.text) == "the token was revoked"
    assert runtime.lookup(kept.text.encode()) is not None, "the others are still remembered"


async def test_a_token_ends_on_time_though_it_is_remembered(desk: Desk, runtime: AuthRuntime) -> None:
    text = (await desk.create_token(expires_at=desk.now + 1_000_000)).text
    assert await who(runtime, text)
    desk.clock.advance(0.999_999)
    assert await who(runtime, text)
    desk.clock.advance(0.000_001)
    assert await refused(runtime, text) == "the token has expired"


async def test_a_token_for_any_app_needs_the_name_of_one(desk: Desk, runtime: AuthRuntime) -> None:
    text = (await desk.create_token("gateway", app=None, any_app=True)).text
    for _ in range(2):  # from the database, then from memory
        with pytest.raises(AppNameRequiredError, match="App-name"):
            await who(runtime, text)
        with pytest.raises(InvalidAppNameError):
            await runtime.authenticate([*bearer(text), (b"app-name", b"caf\xe9")])
        named = await runtime.authenticate([*bearer(text), (b"app-name", b"Sales Bot")])
        assert named == Principal("app", "Sales Bot", "Sales Bot", frozenset({"gateway"}))
    assert runtime.lookup(text.encode()) is None
    assert runtime.lookup(text.encode(), app_name=b"caf\xe9") is None
    assert runtime.lookup(text.encode(), app_name=b"bot") == Principal("app", "bot", "bot", frozenset({"gateway"}))


@pytest.mark.parametrize("token", ["", "x", "sbx_", "sbx_" + "a" * 40, "sbx_" + "a" * 39 + "\0", "a.b.c", "é"])
async def test_a_bad_token_is_refused(runtime: AuthRuntime, token: str) -> None:
    with pytest.raises(InvalidTokenError):
        await runtime.authenticate([(b"token", token.encode())])


async def test_tokens_are_found_by_digest_never_by_themselves(desk: Desk, runtime: AuthRuntime) -> None:
    """So how long a comparison takes tells nothing about a token."""
    issued = await desk.create_token()
    await who(runtime, issued.text)
    jwt = await signed_on(desk, runtime)
    assert set(map(len, runtime._cache._known)) == {32}
    assert issued.token.hash in runtime._cache._known
    assert jwt.encode() not in runtime._cache._known


async def test_the_last_use_is_written_once_a_minute(desk: Desk, runtime: AuthRuntime) -> None:
    text = (await desk.create_token()).text

    async def last_used() -> int | None:
        await runtime.flush_uses()
        (token,) = await desk.context.db.read(service.list_tokens)
        return token.last_used_at

    assert await last_used() is None
    await who(runtime, text)
    first = desk.now
    assert await last_used() == first
    desk.clock.advance(59)
    assert runtime.lookup(text.encode())
    assert await last_used() == first
    desk.clock.advance(1)
    assert runtime.lookup(text.encode())
    assert await last_used() == first + MINUTE


async def test_closing_writes_the_last_uses(desk: Desk) -> None:
    runtime = new_runtime(desk.context)
    await runtime.open()
    await who(runtime, (await desk.create_token()).text)
    await runtime.close()
    (token,) = await desk.context.db.read(service.list_tokens)
    assert token.last_used_at == desk.now


# -- people -----------------------------------------------------------------------------------------------------


async def test_a_session_says_who_it_is_for(desk: Desk, runtime: AuthRuntime) -> None:
    await desk.add_user("Anna", role="manager")
    session = await runtime.sign_in(LoginRequest("anna", PASSWORD, ["user", "tasks:write"]))
    assert session.expires_in == 12 * 3600
    assert session.scopes == {"user", "tasks:write"}
    assert session.access_token.encode().startswith(JWT_PREFIX)
    expected = Principal("user", "Anna", None, frozenset({"user", "tasks:write"}))
    assert await who(runtime, session.access_token) == expected
    assert runtime.lookup(session.access_token.encode()) == expected
    claims = pyjwt.decode(session.access_token, options={"verify_signature": False})
    now = desk.now // 1_000_000
    expected_claims = {"iss": "signalbox", "sub": "Anna", "scope": "tasks:write user", "ver": 1}
    assert claims == {**expected_claims, "iat": now, "exp": now + 12 * 3600}


async def test_a_session_holds_in_every_process(desk: Desk, elsewhere: Desk, runtime: AuthRuntime) -> None:
    token = await signed_on(desk, runtime)
    other = new_runtime(elsewhere.context)
    assert (await who(other, token)).name == "Anna"
    await other.close()


async def test_a_session_ends(desk: Desk, runtime: AuthRuntime) -> None:
    token = await signed_on(desk, runtime)
    assert await who(runtime, token)
    desk.clock.advance(12 * 3600)
    assert "expired" in await refused(runtime, token)


async def test_a_foreign_key_or_no_algorithm_is_refused(desk: Desk, runtime: AuthRuntime) -> None:
    token = await signed_on(desk, runtime)
    claims = pyjwt.decode(token, options={"verify_signature": False})
    for key, algorithm in (("x" * 64, "HS256"), ("", "none")):
        for headers in ({}, {"typ": "sbx+jwt"}):
            await refused(runtime, pyjwt.encode(claims, key, algorithm=algorithm, headers=headers))
    await refused(runtime, token.rpartition(".")[0] + ".")


@pytest.mark.parametrize("change", ["disable", "password"])
async def test_a_changed_user_is_signed_out_everywhere(
    desk: Desk, elsewhere: Desk, runtime: AuthRuntime, change: str
) -> None:
    token = await signed_on(desk, runtime)
    assert await who(runtime, token)
    if change == "disable":
        await elsewhere.disable("anna")
    else:
        hashed = await elsewhere.passwords.hash("another horse")
        await elsewhere.context.db.write(users.set_password, name="anna", password=hashed, actor="test", at=1)
    await until_refused(runtime, token)
    assert "sign in again" in await refused(runtime, token)


async def test_an_enabled_user_has_to_sign_in_again(desk: Desk, runtime: AuthRuntime) -> None:
    token = await signed_on(desk, runtime)
    await desk.disable("anna")
    await desk.context.db.write(users.enable_user, name="anna", actor="test", at=1)
    await refused(runtime, token)
    assert await who(runtime, await sign_in(runtime))


async def test_a_token_cannot_claim_more_than_its_user_has(desk: Desk, context: Context) -> None:
    """Not even one with a valid signature: the role may have been taken away."""
    runtime = new_runtime(context, AuthSettings(jwt_key=Secret("k" * 64)))
    claims = pyjwt.decode(await signed_on(desk, runtime), options={"verify_signature": False})
    for scope in ("manager", "tasks:write", "user tasks:write"):
        forged = pyjwt.encode({**claims, "scope": scope}, "k" * 64, headers={"typ": "sbx+jwt"})
        await refused(runtime, forged)
    for name in ("nobody", "not a name", "\0"):
        await refused(runtime, pyjwt.encode({**claims, "sub": name}, "k" * 64, headers={"typ": "sbx+jwt"}))
    await runtime.close()


async def test_a_new_password_is_hashed(desk: Desk, runtime: AuthRuntime) -> None:
    hashed = await runtime.hash_password("another horse")
    assert (await desk.passwords.verify("another horse", hashed=hashed)).right
    with pytest.raises(WeakPasswordError):
        await runtime.hash_password("short")
