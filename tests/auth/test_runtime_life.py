"""The runtime over time: settings that change, a database that goes away, the first start."""

import asyncio
import logging
import time
from dataclasses import replace

import pytest

from signalbox.auth.errors import (
    MissingScopeError,
    SignOnRequiredError,
    TooManyAttemptsError,
    WeakPasswordError,
    WrongCredentialsError,
)
from signalbox.auth.principal import Principal
from signalbox.auth.runtime import POLL_SECONDS, AuthRuntime
from signalbox.auth.settings import AuthSettings, LoginAttempts
from signalbox.auth.sign_in import LoginRequest
from signalbox.core.secrets import Secret
from signalbox.infra.context import Context
from signalbox.infra.db import DatabaseUnavailableError
from tests.auth.conftest import (
    PASSWORD,
    Desk,
    new_runtime,
    sign_in,
    signed_on,
    until_refused,
    who,
)
from tests.support.databases import PostgresqlPlace, PostgresqlServer
from tests.support.timing import until
from tests.support.wire import Wire

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
        max_remembered=100,
    )
    assert runtime.reload(changed) == ["jwt_key", "max_remembered"]
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
    await until(lambda: not runtime.synchronised)
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
        await until(lambda: not runtime.synchronised)
        assert runtime.lookup(issued.text.encode())
        with pytest.raises(DatabaseUnavailableError):
            await who(runtime, late.text)
        await asyncio.sleep(0.6)
    assert caplog.text.count("sign-on cannot follow changes") == 1
    await until(lambda: runtime.synchronised)
    await desk.revoke(issued.token)
    await until_refused(runtime, issued.text)
    assert await who(runtime, late.text)
    await runtime.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_a_connection_that_fell_silent_holds_up_no_revocation(place: PostgresqlPlace, desk: Desk) -> None:
    """Polls go on with another one."""
    issued, wire = await desk.create_token(), Wire(place)
    async with wire.open() as behind:
        database = behind.open()
        runtime = new_runtime(replace(desk.context, db=database))
        await runtime.open()
        await who(runtime, issued.text)
        wire.cut = True
        await asyncio.sleep(POLL_SECONDS + 0.2)
        wire.cut = False
        await desk.revoke(issued.token)
        await until_refused(runtime, issued.text, within=9)  # the driver alone would wait for 10 s
        assert runtime.synchronised
        await runtime.close()
    await database.close()


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
    started = time.thread_time()
    for _ in range(10_000):
        runtime.lookup(token)
    assert (time.thread_time() - started) / 10_000 < 50e-6  # it is about 1.5
