import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from signalbox.auth import service, users
from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.commands import InvalidExpiryError, build_commands
from signalbox.auth.errors import (
    AppNameRequiredError,
    InvalidUserNameError,
    TokenRevokedError,
    UnknownScopeError,
    UnknownTokenError,
    UnknownUserError,
    UserExistsError,
    UserUnchangedError,
    WeakPasswordError,
)
from signalbox.auth.passwords import Passwords
from signalbox.auth.terminal import NoPasswordError, Opener
from signalbox.auth.tokens import digest_of, is_token
from signalbox.core.errors import InvalidError
from signalbox.core.times import DAY
from signalbox.gateway.cache_entry import RecordCodec
from signalbox.infra.broadcast.memory import MemoryBroadcast
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.http.pool import PooledClient
from signalbox.infra.http.recorded import RecordedClient
from signalbox.infra.limits.budgets import Budgets
from signalbox.infra.limits.memory import MemoryLimiter
from signalbox.infra.telemetry import Metrics
from tests.support.databases import Place

PASSWORD = "correct horse\n"


@pytest.fixture
def opener(place: Place, clock: ManualClock) -> Opener:
    @asynccontextmanager
    async def open_context() -> AsyncIterator[Context]:
        database = place.open()
        try:
            http = PooledClient()
            outbound = RecordedClient(http, clock)
            yield Context(
                clock=clock,
                db=database,
                calls_db=database,
                http=http,
                outbound=outbound,
                answers=MemoryCache(RecordCodec(), clock=clock),
                limiter=MemoryLimiter(clock),
                budgets=Budgets([], database, clock),
                metrics=Metrics(),
                broadcast=MemoryBroadcast(),
            )
        finally:
            await database.close()

    return open_context


@pytest.fixture
def run(opener: Opener) -> Any:
    app = typer.Typer()
    people, apps = build_commands(opener)
    app.add_typer(people, name="users")
    app.add_typer(apps, name="tokens")

    def run(*words: str, stdin: str = "", fails: type[Exception] | None = None) -> Result:
        result = CliRunner().invoke(app, words, input=stdin)
        if fails is None:
            assert result.exception is None, result.output
        else:
            assert isinstance(result.exception, fails), result.output
        return result

    return run


def read(opener: Opener, fn: Any, **arguments: Any) -> Any:
    async def opened() -> Any:
        async with opener() as context:
            return await context.db.read(fn, **arguments)

    return asyncio.run(opened())


def add_anna(run: Any) -> None:
    run("users", "add", "Anna", "--role", "user", "--password-stdin", stdin=PASSWORD)


def test_a_user_is_added_from_a_pipe(run: Any, opener: Opener) -> None:
    result = run("users", "add", "Anna", "--role", "manager", "--password-stdin", stdin=PASSWORD + "ignored\n")
    assert result.stdout == ""
    assert "The user Anna (manager) is added." in result.stderr
    user = read(opener, users.get_user, name="anna")
    verdict = asyncio.run(Passwords().verify("correct horse", hashed=user.password_hash))
    assert verdict.right
    (entry,) = read(opener, list_entries, wanted=AuditFilter(), limit=10)
    assert entry.actor.startswith("cli")


def test_what_is_wrong_with_a_new_user_is_said_before_anything_happens(run: Any, opener: Opener) -> None:
    run("users", "add", "an na", "--role", "user", "--password-stdin", stdin=PASSWORD, fails=InvalidUserNameError)
    run("users", "add", "anna", "--role", "user", "--password-stdin", stdin="short\n", fails=WeakPasswordError)
    run("users", "add", "anna", "--role", "user", fails=NoPasswordError)
    assert run("users", "add", "anna", "--role", "boss", fails=SystemExit).exit_code == 2
    assert run("users", "add", "anna", fails=SystemExit).exit_code == 2
    assert read(opener, users.list_users) == []
    add_anna(run)
    run("users", "add", "ANNA", "--role", "user", "--password-stdin", stdin=PASSWORD, fails=UserExistsError)


def test_a_user_goes_through_all_states(run: Any, opener: Opener) -> None:
    add_anna(run)
    before = read(opener, users.get_user, name="anna")
    assert "has a new password" in run("users", "password", "anna", "--password-stdin", stdin="other horse\n").stderr
    assert read(opener, users.get_user, name="anna").password_hash != before.password_hash
    shown = json.loads(run("users", "disable", "anna", "--json").stdout)
    assert shown["disabled_at"] == "2026-01-01T00:00:00.000000Z"
    assert "disabled" in run("users", "list").stdout
    assert json.loads(run("users", "enable", "anna", "--json").stdout)["disabled_at"] is None
    assert json.loads(run("users", "role", "anna", "manager", "--json").stdout)["role"] == "manager"
    run("users", "role", "anna", "manager", fails=UserUnchangedError)
    run("users", "disable", "bob", fails=UnknownUserError)
    run("users", "password", "bob", "--password-stdin", stdin=PASSWORD, fails=UnknownUserError)


def test_users_are_listed(run: Any) -> None:
    empty = run("users", "list")
    assert (empty.stdout, "signalbox users add" in empty.stderr) == ("", True)
    assert json.loads(run("users", "list", "--json").stdout) == []
    add_anna(run)
    table = run("users", "list")
    assert "Anna" in table.stdout
    assert "2026-01-01 00:00 UTC" in table.stdout
    assert json.loads(run("users", "list", "--json").stdout) == [
        {
            "id": 1,
            "name": "Anna",
            "role": "user",
            "created_at": "2026-01-01T00:00:00.000000Z",
            "password_changed_at": "2026-01-01T00:00:00.000000Z",
            "disabled_at": None,
            "last_login_at": None,
        }
    ]


def test_the_bare_token_is_the_last_line_of_stdout(run: Any, opener: Opener) -> None:
    result = run("tokens", "create", "--app", "shop", "--scope", "gateway", "--scope", "tasks:read", "--expires", "90d")
    assert result.stdout.endswith("\n")
    (text,) = result.stdout.splitlines()
    assert is_token(text.encode())
    assert "only this once" in result.stderr
    (token,) = read(opener, service.list_tokens)
    assert token.hash == digest_of(text.encode())
    assert token.scopes == ["gateway", "tasks:read"]
    assert token.expires_at == token.created_at + 90 * DAY


def test_a_token_as_json(run: Any) -> None:
    shown = json.loads(run("tokens", "create", "--any-app", "--scope", "gateway", "--json").stdout)
    assert is_token(shown["token"].encode())
    assert (shown["app"], shown["any_app"], shown["expires_at"]) == (None, True, None)


def test_what_a_token_needs(run: Any, opener: Opener) -> None:
    run("tokens", "create", "--scope", "gateway", fails=AppNameRequiredError)
    run("tokens", "create", "--app", "shop", "--scope", "gatway", fails=UnknownScopeError)
    assert run("tokens", "create", "--app", "shop", fails=SystemExit).exit_code == 2
    for wrong in ("90", "0d", "soon"):
        run("tokens", "create", "--app", "shop", "--scope", "gateway", "--expires", wrong, fails=InvalidError)
    forever = "36501d"
    run("tokens", "create", "--app", "shop", "--scope", "gateway", "--expires", forever, fails=InvalidExpiryError)
    assert read(opener, service.list_tokens) == []


def test_tokens_are_listed_and_revoked(run: Any, clock: ManualClock) -> None:
    empty = run("tokens", "list")
    assert (empty.stdout, "signalbox tokens create" in empty.stderr) == ("", True)
    text = run("tokens", "create", "--app", "[bold]shop", "--scope", "gateway").stdout.strip()
    run("tokens", "create", "--app", "notes", "--any-app", "--scope", "tasks:read", "--expires", "1d")
    run("tokens", "create", "--any-app", "--scope", "tasks:read", "--expires", "3d")
    clock.advance(2 * 86_400)
    assert "is revoked" in run("tokens", "revoke", text[:10]).stderr
    rows = [line for line in run("tokens", "list").stdout.splitlines() if "sbx_" in line]
    assert [[cell.strip() for cell in row.split("│")[3:6]] for row in rows] == [
        ["any", "tasks:read", "until 2026-01-04 00:00 UTC"],
        ["any (notes)", "tasks:read", "expired"],
        ["[bold]shop", "gateway", "revoked"],
    ]
    listed = json.loads(run("tokens", "list", "--json").stdout)
    assert [token["id"] for token in listed] == [3, 2, 1]
    assert not [token for token in listed if {"hash", "token"} & token.keys()]
    run("tokens", "revoke", "1", fails=TokenRevokedError)
    run("tokens", "revoke", "sbx_none", fails=UnknownTokenError)
    assert json.loads(run("tokens", "revoke", "2", "--json").stdout)["revoked_at"] is not None
