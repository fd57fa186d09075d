import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import jwt as pyjwt
import pytest

from signalbox.auth import service, users
from signalbox.auth.errors import (
    AppNameRequiredError,
    InvalidAppNameError,
    InvalidTokenError,
    MissingScopeError,
    SignOnRequiredError,
    TooManyAttemptsError,
    WeakPasswordError,
    WrongCredentialsError,
)
from signalbox.auth.jwt import JWT_PREFIX
from signalbox.auth.passwords import Passwords
from signalbox.auth.principal import Principal
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.settings import AuthSettings, LoginAttempts
from signalbox.auth.sign_in import LoginRequest
from signalbox.core.secrets import Secret
from signalbox.core.times import MINUTE
from signalbox.infra.context import Context
from signalbox.infra.db import DatabaseUnavailableError
from tests.auth.conftest import CHEAP, PASSWORD, Desk, bearer, sign_in, who
from tests.support.databases import Place, PostgresqlPlace, PostgresqlServer


def new_runtime(context: Context, settings: AuthSettings | None = None) -> AuthRuntime:
    return AuthRuntime(context, settings or AuthSettings(), passwords=Passwords(cost=CHEAP))


@pytest.fixture
async def elsewhere(place: Place, desk: Desk) -> AsyncIterator[Desk]:
    """The desk of another process on the same database."""
    database = place.open()
    yield Desk(replace(desk.context, db=database), desk.clock)
    await database.close()


async def refused(runtime: AuthRuntime, token: str) -> str:
    with pytest.raises(InvalidTokenError) as error:
        await who(runtime, token)
    assert runtime.lookup(token.encode()) is None
    return str(error.value)


async def seconds_until_refused(runtime: AuthRuntime, token: str) -> float:
    started = time.monotonic()
    while runtime.lookup(token.encode()) is not None:
        assert time.monotonic() - started < 5
        await asyncio.sleep(0.01)
    await refused(runtime, token)
    return time.monotonic() - started


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


async def test_a_new_token_works_at_once_everywhere(elsewhere: Desk, runtime: AuthRuntime) -> None:
    for _ in range(10):
        text = (await elsewhere.create_token()).text
        assert (await who(runtime, text)).app == "shop"


async def test_a_revoked_token_fails_within_a_second_everywhere(elsewhere: Desk, runtime: AuthRuntime) -> None:
    issued, kept = await elsewhere.create_token(), await elsewhere.create_token()
    await who(runtime, issued.text)
    await who(runtime, kept.text)
    await elsewhere.revoke(issued.token)
    assert await seconds_until_refused(runtime, issued.text) < 1
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


async def signed_on(desk: Desk, runtime: AuthRuntime) -> str:
    await desk.add_user("Anna")
    return await sign_in(runtime, "anna")


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
    assert await seconds_until_refused(runtime, token) < 1
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


# -- what they may do -------------------------------------------------------------------------------------------


async def test_who_lacks_a_scope_is_told_which(runtime: AuthRuntime) -> None:
    app = Principal("app", "shop", "shop", frozenset({"tasks:read"}))
    runtime.require(app, "tasks:read")
    with pytest.raises(MissingScopeError, match="tasks:write") as missing:
        runtime.require(app, "tasks:write")
    assert missing.value.scope == "tasks:write"
    with pytest.raises(SignOnRequiredError, match="tasks:read"):
        runtime.require(runtime.anonymous, "tasks:read")


async def test_what_anybody_may_do_everybody_may(runtime: AuthRuntime) -> None:
    reader = Principal("user", "anna", None, frozenset({"user"}))
    runtime.require(runtime.anonymous, "gateway")
    runtime.require(reader, "gateway")
    runtime.reload(AuthSettings(anonymous_scopes=[]))
    for principal in (reader, runtime.anonymous):
        assert not runtime.allows(principal, "gateway")


async def test_settings_change_while_running(desk: Desk, runtime: AuthRuntime) -> None:
    token = await signed_on(desk, runtime)
    changed = AuthSettings(
        jwt_key=Secret("k" * 32),
        token_lifetime="1h",
        anonymous_scopes=["tasks:read"],
        login_attempts=LoginAttempts(per_user=1),
    )
    assert runtime.reload(changed) == ["jwt_key"]
    assert runtime.anonymous.scopes == {"tasks:read"}
    assert (await runtime.sign_in(LoginRequest("anna", PASSWORD))).expires_in == 3600
    assert await who(runtime, token), "the key stays until a restart"
    with pytest.raises(WrongCredentialsError):
        await runtime.sign_in(LoginRequest("anna", "wrong"))
    with pytest.raises(TooManyAttemptsError):
        await runtime.sign_in(LoginRequest("anna", "wrong"))
    assert runtime.reload(AuthSettings()) == []


# -- the database is away ---------------------------------------------------------------------------------------


async def test_known_tokens_outlive_the_database(desk: Desk, runtime: AuthRuntime) -> None:
    text, unknown = (await desk.create_token()).text, (await desk.create_token()).text
    jwt = await signed_on(desk, runtime)
    await who(runtime, text)
    await who(runtime, jwt)
    await desk.context.db.close()
    await asyncio.sleep(0.7)  # a poll fails meanwhile
    assert not runtime.synchronised
    assert (await who(runtime, text)).app == "shop"
    assert (await who(runtime, jwt)).name == "Anna"
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError):
            await who(runtime, unknown)
    assert (await runtime.authenticate([])).kind == "anonymous"


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_a_lost_server_is_outlived_and_its_return_is_noticed(
    postgresql_server: PostgresqlServer, place: PostgresqlPlace, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """The server itself refuses connections for a while."""
    issued, late = await desk.create_token(), await desk.create_token()
    runtime = new_runtime(desk.context)
    await runtime.open()
    await who(runtime, issued.text)
    with postgresql_server.closed(place), caplog.at_level(logging.WARNING):
        await wait_for(lambda: not runtime.synchronised)
        assert runtime.lookup(issued.text.encode())
        with pytest.raises(DatabaseUnavailableError):
            await who(runtime, late.text)
        await asyncio.sleep(0.6)
    assert caplog.text.count("sign-on cannot follow changes") == 1
    await wait_for(lambda: runtime.synchronised)
    await desk.revoke(issued.token)
    assert await seconds_until_refused(runtime, issued.text) < 1
    assert await who(runtime, late.text)
    await runtime.close()


async def wait_for(condition: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < 5
        await asyncio.sleep(0.01)


async def test_it_opens_without_a_database(context: Context) -> None:
    await context.db.close()
    runtime = new_runtime(context)
    await runtime.open()
    assert not runtime.synchronised
    assert (await runtime.authenticate([])).kind == "anonymous"
    with pytest.raises(DatabaseUnavailableError):
        await runtime.sign_in(LoginRequest("anna", PASSWORD))
    await runtime.close()


# -- the first start --------------------------------------------------------------------------------------------


async def test_the_first_start_makes_an_admin(runtime: AuthRuntime) -> None:
    password = await runtime.bootstrap_admin()
    assert password is not None
    assert await runtime.bootstrap_admin() is None
    assert (await who(runtime, await sign_in(runtime, "admin", password=password))).scopes == {"manager"}


async def test_the_first_password_can_be_given(runtime: AuthRuntime) -> None:
    with pytest.raises(WeakPasswordError):
        await runtime.bootstrap_admin("short")
    assert await runtime.bootstrap_admin("a long password") is None
    assert await sign_in(runtime, "admin", password="a long password")


async def test_there_is_no_admin_where_there_is_a_user(desk: Desk, runtime: AuthRuntime) -> None:
    await desk.add_user()
    assert await runtime.bootstrap_admin("a long password") is None
    with pytest.raises(WrongCredentialsError):
        await sign_in(runtime, "admin", password="a long password")


async def test_a_lookup_is_quick_enough_for_hot_paths(desk: Desk, runtime: AuthRuntime) -> None:
    token = (await desk.create_token()).text.encode()
    await who(runtime, token.decode())
    started = time.perf_counter()
    for _ in range(10_000):
        runtime.lookup(token)
    assert (time.perf_counter() - started) / 10_000 < 50e-6  # it is about 1.5
