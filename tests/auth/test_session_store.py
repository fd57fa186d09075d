from signalbox.auth import session_store, users
from signalbox.auth.models import HashedPassword
from signalbox.infra.db import Database


async def test_sessions_are_found_by_their_digest_alone(database: Database) -> None:
    hashed = HashedPassword("$argon2id$made-up")
    user = await database.write(users.add_user, name="Anna", password=hashed, role="user", actor="test", at=1)
    await database.write(session_store.insert_session, digest=b"a" * 32, user=user, at=1, expires_at=100)
    assert await database.read(session_store.find_session, digest=b"a" * 32, at=99) == (user, 100)
    assert await database.read(session_store.find_session, digest=b"a" * 32, at=100) is None
    assert await database.read(session_store.find_session, digest=b"b" * 32, at=99) is None


async def test_one_is_deleted_once(database: Database) -> None:
    hashed = HashedPassword("$argon2id$made-up")
    user = await database.write(users.add_user, name="Anna", password=hashed, role="user", actor="test", at=1)
    await database.write(session_store.insert_session, digest=b"a" * 32, user=user, at=1, expires_at=100)
    assert await database.write(session_store.delete_session, digest=b"a" * 32) == "anna"
    assert await database.write(session_store.delete_session, digest=b"a" * 32) is None


async def test_no_more_than_asked_are_swept(database: Database) -> None:
    hashed = HashedPassword("$argon2id$made-up")
    user = await database.write(users.add_user, name="Anna", password=hashed, role="user", actor="test", at=1)
    for byte in range(3):
        digest = bytes([byte]) * 32
        await database.write(session_store.insert_session, digest=digest, user=user, at=1, expires_at=100)
    assert await database.write(session_store.delete_expired, at=100, limit=2) == 2
    assert await database.write(session_store.delete_expired, at=100, limit=2) == 1
