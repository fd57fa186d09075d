import asyncio
import time
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from signalbox.auth import service, users
from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.errors import (
    AmbiguousTokenError,
    AppNameRequiredError,
    InvalidAppNameError,
    MissingScopeError,
    TokenRevokedError,
    UnknownScopeError,
    UnknownTokenError,
    WrongCredentialsError,
)
from signalbox.auth.models import HashedPassword
from signalbox.auth.tokens import digest_of
from signalbox.core.times import MINUTE
from signalbox.infra.context import Context
from signalbox.infra.db import Database
from tests.auth.conftest import Desk
from tests.support.databases import Place


async def test_a_token_is_kept_as_digest_and_prefix_only(desk: Desk) -> None:
    issued = await desk.create_token("tasks:read", "gateway", "gateway", expires_at=desk.now + 5)
    token = issued.token
    assert token.prefix == issued.text[:12]
    assert token.hash == digest_of(issued.text.encode())
    assert (token.app, token.any_app, token.scopes) == ("shop", False, ["gateway", "tasks:read"])
    assert (token.created_at, token.created_by, token.expires_at) == (desk.now, "test", desk.now + 5)
    assert (token.revoked_at, token.last_used_at) == (None, None)
    assert await desk.context.db.read(service.list_tokens) == [token]
    entries = await desk.context.db.read(list_entries, wanted=AuditFilter(), limit=10)
    assert issued.text not in repr(entries) + repr(token)
    (entry,) = entries
    assert (entry.action, entry.target, entry.actor) == ("token.create", "token:1", "test")
    assert entry.after == {
        "app": "shop",
        "any_app": False,
        "scopes": ["gateway", "tasks:read"],
        "prefix": token.prefix,
        "expires_at": desk.now + 5,
    }


async def test_what_a_token_needs(desk: Desk) -> None:
    with pytest.raises(UnknownScopeError, match=r"'gatway'.*gateway, statistics:read"):
        await desk.create_token("gatway")
    with pytest.raises(AppNameRequiredError):
        await desk.create_token("gateway", app=None)
    with pytest.raises(InvalidAppNameError):
        await desk.create_token("gateway", app="two\nlines")
    with pytest.raises(UnknownScopeError, match="a token needs a scope"):
        await desk.context.db.write(service.create_token, app="shop", scopes=[], expires_at=None, actor="test", at=1)
    assert await desk.context.db.read(service.list_tokens) == []
    assert (await desk.create_token("gateway", app=None, any_app=True)).token.any_app


async def test_a_token_is_revoked_once(desk: Desk) -> None:
    token = (await desk.create_token()).token
    before = await desk.context.db.read(service.current_revision)
    desk.clock.advance(1)
    revoked = await desk.revoke(token)
    assert revoked == replace(token, revoked_at=desk.now)
    assert await desk.context.db.read(service.current_revision) == before + 1
    with pytest.raises(TokenRevokedError, match=f"{token.prefix} was revoked before"):
        await desk.revoke(token)
    entries = await desk.context.db.read(list_entries, wanted=AuditFilter(action="token.revoke"), limit=10)
    assert [(entry.before, entry.after) for entry in entries] == [({"revoked_at": None}, {"revoked_at": desk.now})]


async def test_a_token_is_named_by_id_or_prefix(desk: Desk) -> None:
    issued = [await desk.create_token() for _ in range(3)]
    read = desk.context.db.read
    for one in issued:
        for name in (str(one.token.id), one.token.prefix, one.token.prefix[4:], one.text[4:11], one.text):
            assert await read(service.get_token, which=name) == one.token
    for wrong in ("", "sbx_", "4" * 8, "9" * 30, "sbx_%", "%", "a\0b", issued[0].text.swapcase()):
        with pytest.raises(UnknownTokenError):
            await read(service.get_token, which=wrong)


async def test_an_ambiguous_prefix_names_nobody(desk: Desk) -> None:
    seen: dict[str, str] = {}
    while True:
        text = (await desk.create_token()).text
        if text[4] in seen and not text[4].isdigit():
            break
        seen[text[4]] = text
    with pytest.raises(AmbiguousTokenError):
        await desk.context.db.read(service.get_token, which=text[:5])


async def test_tokens_are_listed_newest_first(desk: Desk) -> None:
    for app in ("a", "b", "c"):
        await desk.create_token(app=app)
    assert [token.app for token in await desk.context.db.read(service.list_tokens)] == ["c", "b", "a"]


async def test_a_role_limits_what_can_be_asked_for(desk: Desk) -> None:
    user, manager = await desk.add_user("anna"), await desk.add_user("bob", role="manager")
    assert service.allowed_scopes(user, asked=[]) == {"user"}
    assert service.allowed_scopes(manager, asked=[]) == {"manager"}
    assert service.allowed_scopes(user, asked=["tasks:read", "user"]) == {"tasks:read", "user"}
    assert service.allowed_scopes(manager, asked=["user", "tasks:write"]) == {"user", "tasks:write"}
    for scope in ("manager", "tasks:write", "gateway"):
        with pytest.raises(MissingScopeError, match=scope) as refused:
            service.allowed_scopes(user, asked=["user", scope])
        assert refused.value.scope == scope
    with pytest.raises(UnknownScopeError, match="openid"):
        service.allowed_scopes(manager, asked=["openid"])


async def test_a_sign_in_is_noted_unless_the_user_has_changed(desk: Desk) -> None:
    user = await desk.add_user()
    db = desk.context.db

    async def note(rehashed: HashedPassword | None) -> None:
        scopes, address, at = frozenset({"user"}), "192.0.2.1", desk.now + 9
        await db.write(
            service.signed_in, user=user, rehashed=rehashed, scopes=scopes, address=address, at=at, request_id="r1"
        )

    await note(HashedPassword("new"))
    signed_in = await db.read(users.get_user, name="anna")
    assert (signed_in.last_login_at, signed_in.password_hash) == (desk.now + 9, "new")
    assert signed_in.version == user.version, "a new hash of the same password signs nobody out"
    (entry,) = await db.read(list_entries, wanted=AuditFilter(action="user.sign_in"), limit=10)
    assert (entry.actor, entry.target, entry.request_id) == ("user:anna", "user:anna", "r1")
    assert entry.after == {"scopes": ["user"], "address": "192.0.2.1"}
    await desk.disable("anna")
    with pytest.raises(WrongCredentialsError):
        await note(None)


async def test_uses_are_noted_once_a_minute_by_all_processes_together(desk: Desk) -> None:
    one, two = (await desk.create_token()).token, (await desk.create_token()).token

    async def note(used: dict[int, int]) -> list[int | None]:
        await desk.context.db.write(service.note_uses, used=used)
        tokens = await desk.context.db.read(service.list_tokens)
        return [token.last_used_at for token in reversed(tokens)]

    assert await note({}) == [None, None]
    assert await note({one.id: 5, 99: 5}) == [5, None]
    assert await note({two.id: 7, one.id: 4 + MINUTE}) == [5, 7]
    assert await note({two.id: 1, one.id: 5 + MINUTE}) == [5 + MINUTE, 7]


async def test_all_processes_share_one_key(place: Place, database: Database) -> None:
    other = place.open()
    assert await database.read(service.find_signing_key) is None
    keys = await asyncio.gather(*(process.write(service.make_signing_key) for process in (database, other) * 8))
    await other.close()
    assert len(set(keys)) == 1
    assert len(keys[0]) == 64
    assert await database.read(service.find_signing_key) == keys[0]


async def test_a_snapshot_holds_what_was_asked_for(desk: Desk) -> None:
    tokens = [(await desk.create_token()).token for _ in range(3)]
    for name in ("Anna", "bob"):
        await desk.add_user(name)
    digests = [tokens[0].hash, *(bytes([number % 256, number // 256]) * 16 for number in range(1200)), tokens[2].hash]
    snapshot = await desk.context.db.read(service.take_snapshot, digests=digests, keys=["anna", "nobody"])
    assert snapshot.revision == 5
    assert snapshot.tokens == {tokens[0].hash: tokens[0], tokens[2].hash: tokens[2]}
    assert list(snapshot.users) == ["anna"]


async def test_two_processes_never_wait_for_each_other_in_a_circle(desk: Desk, place: Place) -> None:
    """Group commit mixes changes of several rows in whatever order."""
    for name in ("anna", "bob"):
        await desk.add_user(name)

    def change(tx: Connection, names: tuple[str, str]) -> None:
        for name in names:
            users.set_password(tx, name=name, password=HashedPassword("x"), actor="test", at=1)
            time.sleep(0.1)

    other = place.open()
    one = desk.context.db.write(change, ("anna", "bob"))
    await asyncio.gather(one, other.write(change, ("bob", "anna")))
    await other.close()
    assert [user.version for user in await desk.context.db.read(users.list_users)] == [3, 3]


async def test_a_failed_change_leaves_no_trace(context: Context) -> None:
    with pytest.raises(UnknownTokenError):
        await context.db.write(service.revoke_token, which="1", actor="test", at=1)
    assert await context.db.read(service.current_revision) == 0
    assert await context.db.read(list_entries, wanted=AuditFilter(), limit=10) == []
