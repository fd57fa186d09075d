"""Looking up credentials that a process does not remember."""

import asyncio

from signalbox.auth import jwt, service
from signalbox.auth.cache import CredentialCache, Known, known_token, known_user, refusal_of
from signalbox.auth.errors import InvalidTokenError
from signalbox.auth.models import User
from signalbox.auth.scopes import grants
from signalbox.auth.signing import SigningKey
from signalbox.auth.tokens import TOKEN_PREFIX, is_token
from signalbox.auth.users import name_key
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database


class CredentialSearch:
    """Asks the database and tells the cache: once for all requests that bring the same credential at once."""

    def __init__(self, db: Database, *, clock: Clock, cache: CredentialCache, key: SigningKey) -> None:
        self._db, self._clock, self._cache, self._key = db, clock, cache, key
        self._under_way: dict[bytes, asyncio.Task[Known]] = {}

    async def find(self, token: bytes, *, digest: bytes) -> Known:
        """What a credential with this SHA-256 stands for.

        Raises:
            InvalidTokenError: it is malformed, forged, unknown, expired or revoked.
            DatabaseUnavailableError: the database is away.
        """
        search = self._under_way.get(digest)
        if search is None:
            search = self._under_way[digest] = asyncio.create_task(self._search(token, digest))
            search.add_done_callback(lambda done: self._ended(digest, done))
        return await asyncio.shield(search)

    def _ended(self, digest: bytes, search: asyncio.Task[Known]) -> None:
        del self._under_way[digest]
        if not search.cancelled():
            search.exception()  # whoever waited has it; where nobody is left it is no news

    async def _search(self, token: bytes, digest: bytes) -> Known:
        now = self._clock.now()
        if (reason := self._cache.refusal(digest, at=now)) is not None:
            raise InvalidTokenError(reason)
        found = await (self._find_app(token, digest) if token.startswith(TOKEN_PREFIX) else self._find_user(token))
        if isinstance(found, str):
            self._cache.refuse(digest, found, at=now)
            raise InvalidTokenError(found)
        self._cache.remember(digest, found)
        return self._cache.find(digest, at=now) or found

    async def _find_app(self, token: bytes, digest: bytes) -> Known | str:
        if not is_token(token):
            msg = "the token is malformed"
            raise InvalidTokenError(msg)
        revision, found = await self._db.read(service.find_token, digest=digest)
        if found is None:
            return "the token is unknown"
        return refusal_of(found, at=self._clock.now()) or known_token(found, revision=revision)

    async def _find_user(self, token: bytes) -> Known | str:
        claims = jwt.read(token, key=await self._key.get(), at=self._clock.now())
        revision, user = await self._db.read(service.find_account, key=name_key(claims.name))
        if user is None or not _is_current(user, claims):
            return "the user has changed since the token was issued; sign in again"
        return known_user(user, scopes=claims.scopes, expires_at=claims.expires_at, revision=revision)


def _is_current(user: User, claims: jwt.Claims) -> bool:
    role = frozenset({user.role})
    current = user.version == claims.version and user.disabled_at is None
    return current and all(grants(role, scope) for scope in claims.scopes)
