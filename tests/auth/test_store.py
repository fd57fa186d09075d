"""What the queries answer on both databases; what the services make of them is tested with these."""

from sqlalchemy import Connection

from signalbox.auth import store
from signalbox.auth.models import AppToken, HashedPassword, User
from signalbox.core.times import MINUTE
from signalbox.infra.db import Database

HASH = HashedPassword("$argon2id$")


def insert_user(tx: Connection, name: str) -> User:
    user = store.insert_user(tx, name=name, key=name.lower(), password=HASH, role="user", at=1)
    assert user is not None
    return user


def insert_token(tx: Connection, number: int) -> AppToken:
    values = {"app": "shop", "any_app": False, "prefix": f"sbx_{number:08}", "hash": number.to_bytes(32, "big")}
    times = {"created_at": 1, "expires_at": None, "created_by": "test"}
    return store.insert_token(tx, {**values, **times, "scopes": ["gateway"]})


async def test_the_revision_begins_at_nothing_and_grows(database: Database) -> None:
    before = await database.read(store.revision)
    for _ in range(3):
        await database.write(store.bump)
    assert await database.read(store.revision) == before + 3


async def test_a_second_user_of_the_same_key_is_none(database: Database) -> None:
    await database.write(insert_user, "Anna")
    second = await database.write(store.insert_user, name="ANNA", key="anna", password=HASH, role="manager", at=2)
    assert second is None
    assert [user.name for user in await database.read(store.list_users)] == ["Anna"]


async def test_a_sign_in_is_not_noted_for_a_user_who_has_changed_meanwhile(database: Database) -> None:
    read_before = await database.write(insert_user, "anna")
    await database.write(store.set_password, user_id=read_before.id, password=HASH, at=5)
    noted = await database.write(store.signed_in, user=read_before, rehashed=HashedPassword("stale"), at=9)
    now = await database.read(store.find_user, key="anna")
    assert not noted
    assert now is not None
    assert (now.version, now.last_login_at, now.password_hash) == (read_before.version + 1, None, HASH)


async def test_many_digests_are_found_in_one_call(database: Database) -> None:
    def fill(tx: Connection) -> set[int]:
        return {insert_token(tx, number).id for number in range(1_200)}

    made = await database.write(fill)
    digests = [number.to_bytes(32, "big") for number in range(1_300)]
    found = await database.read(store.find_tokens, digests=digests)
    assert {token.id for token in found} == made


async def test_prefixes_are_compared_as_text_and_not_as_patterns(database: Database) -> None:
    token = await database.write(insert_token, 7)
    assert await database.read(store.find_tokens_by_prefix, prefix="sbx_0000", limit=5) == [token]
    assert await database.read(store.find_tokens_by_prefix, prefix="sbx%", limit=5) == []
    assert await database.read(store.find_tokens_by_prefix, prefix="SBX_", limit=5) == []


async def test_a_token_is_revoked_once(database: Database) -> None:
    token = await database.write(insert_token, 7)
    assert await database.write(store.revoke_token, token_id=token.id, at=5)
    assert not await database.write(store.revoke_token, token_id=token.id, at=6)
    now = await database.read(store.find_token_by_id, token_id=token.id)
    assert now is not None
    assert now.revoked_at == 5


async def test_uses_within_a_minute_are_noted_once(database: Database) -> None:
    token = await database.write(insert_token, 7)
    for used_at, noted in ((MINUTE, MINUTE), (MINUTE + 1, MINUTE), (3 * MINUTE, 3 * MINUTE)):
        await database.write(store.touch_tokens, used={token.id: used_at})
        now = await database.read(store.find_token_by_id, token_id=token.id)
        assert now is not None
        assert now.last_used_at == noted


async def test_the_first_secret_of_a_name_is_kept(database: Database) -> None:
    assert await database.read(store.find_secret, name="key") is None
    for value in ("first", "second"):
        await database.write(store.keep_secret, name="key", value=value)
    assert await database.read(store.find_secret, name="key") == "first"
