"""Sessions of browsers: random tokens that the database knows, so that the server can end each of them at once.

Nothing is remembered in memory: a session that was ended, or whose user got a new password or was disabled, is refused
by every process at the very next request.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from signalbox.auth import session_store
from signalbox.auth.audit import record
from signalbox.auth.models import User
from signalbox.auth.principal import Principal
from signalbox.auth.sign_in import LoginRequest
from signalbox.auth.tokens import digest_of
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database

TOKEN_BYTES = 32
LONGEST_TOKEN = 100
"""Characters; what is longer is no token, and not looked up."""

Check = Callable[[LoginRequest], Awaitable[User]]
"""Who signs in with this name and password; raises what ``SignIn.check`` raises."""


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """Somebody who is signed in with a browser."""

    token: str
    """What the browser holds."""
    principal: Principal
    expires_at: int
    """Microseconds UTC."""

    @property
    def csrf(self) -> str:
        """What a form or script of our own pages sends along; who does not hold the token cannot work it out."""
        return hmac.digest(self.token.encode(), b"signalbox csrf", "sha256").hex()


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, db: Database, clock: Clock, *, check: Check, lifetime: Callable[[], int]) -> None:
        """``lifetime``: how long a session lasts, in microseconds."""
        self._db, self._clock = db, clock
        self._check, self._lifetime = check, lifetime

    async def begin(self, request: LoginRequest) -> BrowserSession:
        """Sign in with a name and a password; raises what ``SignIn.check`` raises."""
        user = await self._check(request)
        token, now = secrets.token_urlsafe(TOKEN_BYTES), self._clock.now()
        expires_at = now + self._lifetime()
        digest = digest_of(token.encode())
        await self._db.write(session_store.insert_session, digest=digest, user=user, at=now, expires_at=expires_at)
        return BrowserSession(token, _principal(user), expires_at)

    async def find(self, token: str) -> BrowserSession | None:
        """The session with this token; None where there is none that holds.

        Raises:
            DatabaseUnavailableError: the database is away.
        """
        if not 0 < len(token) <= LONGEST_TOKEN:
            return None
        digest = digest_of(token.encode())
        found = await self._db.read(session_store.find_session, digest=digest, at=self._clock.now())
        return None if found is None else BrowserSession(token, _principal(found[0]), found[1])

    async def holding(self, tokens: Collection[str]) -> set[str]:
        """Those of these tokens whose sessions still hold, by one query.

        Raises:
            DatabaseUnavailableError: the database is away.
        """
        digests = {digest_of(token.encode()): token for token in tokens}
        held = await self._db.read(session_store.find_valid, digests=digests.keys(), at=self._clock.now())
        return {digests[digest] for digest in held}

    async def end(self, session: BrowserSession, *, request_id: str | None = None) -> None:
        """Sign out; nothing where the session is over already."""
        await self._db.write(end_session, session, at=self._clock.now(), request_id=request_id)


def end_session(tx: Connection, session: BrowserSession, *, at: int, request_id: str | None = None) -> None:
    """Delete a session, and note it in the audit trail."""
    if session_store.delete_session(tx, digest=digest_of(session.token.encode())) is None:
        return
    actor, target = session.principal.actor, f"user:{session.principal.name}"
    record(
        tx, actor=actor, action="user.sign_out", target=target, before=None, after=None, at=at, request_id=request_id
    )


def sweep_sessions(tx: Connection, now: int, limit: int) -> int:
    """Forget sessions that are over."""
    return session_store.delete_expired(tx, at=now, limit=limit)


def _principal(user: User) -> Principal:
    return Principal("user", user.name, None, frozenset({user.role}))
