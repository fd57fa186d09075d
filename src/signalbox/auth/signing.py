"""The key that signs people's tokens: configured, or made once and kept in the database."""

from signalbox.auth import service
from signalbox.auth.settings import AuthSettings
from signalbox.infra.db import Database


class SigningKey:
    """Loads the key when it is first needed, since the database may be away at the start."""

    def __init__(self, db: Database, settings: AuthSettings) -> None:
        self._db = db
        self._configured = _configured(settings)
        self._key = None if self._configured is None else self._configured.encode()

    async def get(self) -> bytes:
        """The key.

        Raises:
            DatabaseUnavailableError: it is kept in the database, which is away.
        """
        if self._key is None:
            kept = await self._db.read(service.find_signing_key)
            if kept is None:
                kept = await self._db.write(service.make_signing_key)
            self._key = kept.encode()
        return self._key

    def differs(self, settings: AuthSettings) -> bool:
        """Whether these settings ask for another key than the one in use."""
        return _configured(settings) != self._configured


def _configured(settings: AuthSettings) -> str | None:
    return None if settings.jwt_key is None else settings.jwt_key.reveal()
