from pathlib import Path

import pytest

from signalbox.auth import service
from signalbox.auth.settings import AuthSettings
from signalbox.auth.signing import SigningKey
from signalbox.core.secrets import Secret
from signalbox.infra.db import Database, DatabaseUnavailableError


async def test_a_key_is_made_once_and_kept(database: Database) -> None:
    key = await SigningKey(database, AuthSettings()).get()
    assert len(key) == 64
    assert await SigningKey(database, AuthSettings()).get() == key
    assert (await database.read(service.find_signing_key) or "").encode() == key


async def test_a_configured_key_needs_no_database(database: Database) -> None:
    await database.close()
    assert await SigningKey(database, AuthSettings(jwt_key=Secret("k" * 32))).get() == b"k" * 32
    with pytest.raises(DatabaseUnavailableError):
        await SigningKey(database, AuthSettings()).get()


async def test_another_key_is_noticed(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("k" * 32, encoding="utf-8")
    settings = AuthSettings(jwt_key=Secret(f"file:{path}"))
    key = SigningKey(database, settings)
    assert not key.differs(settings)
    assert not key.differs(AuthSettings(jwt_key=Secret("k" * 32)))
    assert key.differs(AuthSettings())
    path.write_text("x" * 32, encoding="utf-8")
    assert key.differs(settings), "the file behind the same words has changed"
    assert not SigningKey(database, AuthSettings()).differs(AuthSettings())
