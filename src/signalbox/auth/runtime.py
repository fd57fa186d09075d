"""What sign-on keeps in memory in each process: the key, the cache of credentials, the count of failed sign-ins."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from signalbox.auth import jwt, service, users
from signalbox.auth.cache import CredentialCache
from signalbox.auth.credentials import find_credential
from signalbox.auth.errors import MissingScopeError, SignOnRequiredError
from signalbox.auth.models import HashedPassword, User
from signalbox.auth.passwords import Passwords, new_password
from signalbox.auth.principal import Principal
from signalbox.auth.scopes import grants
from signalbox.auth.search import CredentialSearch
from signalbox.auth.sessions import Sessions
from signalbox.auth.settings import AuthSettings
from signalbox.auth.sign_in import LoginRequest, SignIn
from signalbox.auth.signing import SigningKey
from signalbox.auth.tokens import digest_of
from signalbox.core.beat import until_beat
from signalbox.core.errors import InvalidError, SignalboxError
from signalbox.core.times import MICROSECONDS
from signalbox.infra.context import Context

POLL_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 3.0
"""For a poll: on a connection that fell silent it would wait for ever, while the next has another one."""
FLUSH_POLLS: Final = 10
"""Uses of tokens are written at every tenth poll."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """A fresh sign-in; ``expires_in`` in seconds."""

    access_token: str
    expires_in: int
    scopes: frozenset[str]


class AuthRuntime:
    """Tells who is asking. Hot paths use ``lookup``, everybody else ``authenticate``."""

    def __init__(self, context: Context, settings: AuthSettings, *, passwords: Passwords | None = None) -> None:
        self._db, self._clock = context.db, context.clock
        self._settings = settings
        self.anonymous = _anonymous(settings)
        """The caller without a credential."""
        self._passwords = passwords or Passwords()
        self._sign_in = SignIn(context.db, clock=context.clock, passwords=self._passwords)
        self._cache = CredentialCache(max_entries=settings.max_remembered)
        self._key = SigningKey(context.db, settings)
        self._search = CredentialSearch(context.db, clock=context.clock, cache=self._cache, key=self._key)
        self.sessions = Sessions(
            context.db, context.clock, check=self._check, lifetime=lambda: self._settings.token_lifetime_micros
        )
        self._poller: asyncio.Task[None] | None = None
        self._synchronised = False
        self._stamp: object = None
        """Of the database at the last look; while it is the same, nothing has changed."""

    # -- life ---------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Load or make the key and begin to follow changes.

        With the database away this works too: ``synchronised`` is False, app tokens and people's tokens are
        answered with DatabaseUnavailableError until it is back, and anonymous callers are served.
        """
        await self._poll(flush=False)
        self._poller = asyncio.create_task(self._poll_forever(), name="auth-poll")

    async def close(self) -> None:
        """Stop following changes and write which tokens were used."""
        if self._poller is not None:
            self._poller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._poller
        with contextlib.suppress(SignalboxError):
            await self.flush_uses()
        self._passwords.close()

    @property
    def synchronised(self) -> bool:
        """Whether changes by other processes were seen at the last look, at most half a second ago."""
        return self._synchronised

    @property
    def settings(self) -> AuthSettings:
        """The settings in force."""
        return self._settings

    def reload(self, settings: AuthSettings) -> list[str]:
        """Take new settings into use, and name those that take effect only after a restart."""
        waiting = ["jwt_key"] if self._key.differs(settings) else []
        waiting += ["max_remembered"] if settings.max_remembered != self._settings.max_remembered else []
        kept = {name: getattr(self._settings, name) for name in ("jwt_key", "max_remembered")}
        self._settings = settings.model_copy(update=kept)
        self.anonymous = _anonymous(settings)
        return waiting

    # -- who is asking ------------------------------------------------------------------------------------------

    def lookup(self, token: bytes, *, app_name: bytes | None = None) -> Principal | None:
        """The caller with this token, if it is remembered: no I/O, about a microsecond.

        None does not mean that the token is bad but that ``authenticate`` must be asked. ``app_name`` is the
        header ``App-name``, needed by tokens for any app.
        """
        known = self._cache.find(digest_of(token), at=self._clock.now())
        if known is None:
            return None
        try:
            return known.principal_for(app_name)
        except InvalidError:
            return None

    async def authenticate(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """The caller of a request with these ASGI headers (names in lower case).

        Raises:
            InvalidTokenError: the credential is malformed, forged, unknown, expired or revoked.
            AppNameRequiredError: a token for any app came without the header ``App-name``.
            InvalidAppNameError: that header names no app.
            DatabaseUnavailableError: the credential is not remembered and the database is away.
        """
        credential = find_credential(headers)
        if credential is None:
            return self.anonymous
        digest = digest_of(credential.token)
        known = self._cache.find(digest, at=self._clock.now())
        if known is None:
            known = await self._search.find(credential.token, digest=digest)
        return known.principal_for(credential.app_name)

    def recall(self, headers: Mapping[bytes, bytes], *, at: int) -> Principal | None:
        """The caller of a request at ``at`` if no I/O is needed to tell; None: ``authenticate`` must be asked.

        ``headers`` by name, in lower case. Two credentials in one request are for ``authenticate`` too.

        Raises:
            AppNameRequiredError: a token for any app came without the header ``App-name``.
            InvalidAppNameError: that header names no app.
        """
        token, authorization = headers.get(b"token"), headers.get(b"authorization")
        if authorization is not None:
            if token is not None or authorization[:7].lower() != b"bearer ":
                return None
            token = authorization[7:]
        if token is None:
            return self.anonymous
        app_name = headers.get(b"app-name")
        return self._cache.recall(token.strip(), None if app_name is None else app_name.strip(), at=at)

    def allows(self, principal: Principal, scope: str) -> bool:
        """Whether the caller may do what a scope allows; what anybody may do, everybody may."""
        return grants(principal.scopes, scope) or grants(self.anonymous.scopes, scope)

    def require(self, principal: Principal, scope: str) -> None:
        """Refuse a caller who lacks a scope.

        Raises:
            SignOnRequiredError: nobody signed on.
            MissingScopeError: the caller is known and lacks the scope.
        """
        if self.allows(principal, scope):
            return
        if principal.kind == "anonymous":
            msg = f"sign on first: this needs the scope {scope}"
            raise SignOnRequiredError(msg)
        msg = f"this needs the scope {scope}"
        raise MissingScopeError(msg, scope=scope)

    # -- signing in ---------------------------------------------------------------------------------------------

    async def sign_in(self, request: LoginRequest) -> Session:
        """Check a name and a password and issue a token; raises what ``SignIn.check`` raises."""
        key = await self._key.get()
        user, scopes = await self._sign_in.check(request, limits=self._settings.login_attempts)
        lifetime = self._settings.token_lifetime_micros // MICROSECONDS
        now = self._clock.now() // MICROSECONDS
        claims = jwt.Claims(user.name, scopes, version=user.version, issued=now, expires=now + lifetime)
        return Session(jwt.issue(claims, key=key), lifetime, scopes)

    async def _check(self, request: LoginRequest) -> User:
        user, _ = await self._sign_in.check(request, limits=self._settings.login_attempts)
        return user

    async def hash_password(self, password: str) -> HashedPassword:
        """The hash of a new password.

        Raises:
            WeakPasswordError: it is too short or too long.
            PasswordsBusyError: too many wait already.
        """
        return await self._passwords.hash(password)

    async def bootstrap_admin(self, password: str | None = None) -> str | None:
        """If there is no user at all, make the manager ``admin``.

        Returns:
            The password that was made up, to be shown this once; None if one was given or a user existed.

        Raises:
            WeakPasswordError: the given password is too short or too long.
        """
        if await self._db.read(users.any_user):
            return None
        chosen = password or new_password()
        hashed = await self._passwords.hash(chosen)
        added = await self._db.write(users.bootstrap_admin, password=hashed, actor="serve", at=self._clock.now())
        return chosen if added and not password else None

    # -- following changes --------------------------------------------------------------------------------------

    async def synchronise(self) -> None:
        """See what other processes have changed; done by itself every half second.

        Raises:
            DatabaseUnavailableError: the database is away; what is remembered stays.
        """
        if await self._db.read(service.current_revision) == self._cache.revision:
            return
        digests, keys = self._cache.token_digests(), self._cache.user_keys()
        snapshot = await self._db.read(service.take_snapshot, digests=digests, keys=keys)
        self._cache.refresh(snapshot, at=self._clock.now())

    async def flush_uses(self) -> None:
        """Write when app tokens were last used; done by itself every few seconds.

        Raises:
            DatabaseUnavailableError: the database is away; the uses are kept for the next time.
        """
        used = self._cache.take_used()
        if not used:
            return
        try:
            await self._db.write(service.note_uses, used=used)
        except BaseException:
            self._cache.give_back_used(used)
            raise

    async def _poll_forever(self) -> None:
        polls = 0
        while True:
            await asyncio.sleep(until_beat(POLL_SECONDS))
            polls += 1
            await self._poll(flush=polls % FLUSH_POLLS == 0)

    async def _follow(self) -> None:
        stamp = await self._db.stamp()
        if stamp == self._stamp and self._synchronised:
            return
        await self.synchronise()
        self._stamp = stamp

    async def _poll(self, *, flush: bool) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._key.get()
                await self._follow()
                if flush:
                    await self.flush_uses()
        except (SignalboxError, TimeoutError) as error:
            if self._synchronised or self._poller is None:
                _log.warning("sign-on cannot follow changes: %s", str(error) or "the database is silent")
            self._synchronised = False
        except Exception:  # noqa: BLE001 - whatever it was, the next poll must come
            _log.exception("sign-on cannot follow changes")
            self._synchronised = False
        else:
            self._synchronised = True


def _anonymous(settings: AuthSettings) -> Principal:
    return Principal("anonymous", "anonymous", None, frozenset(settings.anonymous_scopes))
