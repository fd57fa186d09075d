"""What a process remembers of credentials, so that hot paths ask no database.

Every entry knows the revision (``store.revision``) at which it was read. When the revision moves, all entries are
read again in one snapshot and exchanged; until that has worked the old ones stay, so an absent database locks
nobody out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from signalbox.auth.credentials import named_app
from signalbox.auth.models import AppToken, User
from signalbox.auth.principal import Principal
from signalbox.auth.scopes import Role
from signalbox.auth.tokens import digest_of
from signalbox.core.times import MINUTE

MAX_ENTRIES: Final = 50_000
REFUSED_FOR: Final = 500_000
"""Microseconds for which an unknown token is refused without asking again."""


class UserState(NamedTuple):
    """What a person's tokens depend on."""

    key: str
    version: int
    role: Role


@dataclass(slots=True)
class Known:
    """A credential that was valid when last looked up; times in microseconds UTC."""

    principal: Principal
    revision: int
    expires_at: int | None
    user: UserState | None = None
    token_id: int | None = None
    any_app: bool = False
    noted_at: int = 0
    """When this process last noted a use of the app token."""

    def principal_for(self, app_name: bytes | None) -> Principal:
        """The caller; a token for any app takes the app's name from ``app_name``.

        Raises:
            AppNameRequiredError: there is none.
            InvalidAppNameError: it is no name of an app.
        """
        if not self.any_app:
            return self.principal
        app = named_app(app_name)
        return Principal("app", app, app, self.principal.scopes)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of remembered credentials, all at one revision."""

    revision: int
    tokens: dict[bytes, AppToken]
    users: dict[str, User]


class CredentialCache:
    """Entries by SHA-256 of the credential, at most ``max_entries``; the oldest go first."""

    def __init__(self, *, max_entries: int = MAX_ENTRIES) -> None:
        self.revision = -1
        self._max_entries = max_entries
        self._known: dict[bytes, Known] = {}
        self._refused: dict[bytes, tuple[int, str]] = {}
        self._used: dict[int, int] = {}
        self._recalled: dict[tuple[bytes, bytes | None], tuple[Known, Principal]] = {}

    def find(self, digest: bytes, *, at: int) -> Known | None:
        """The entry of a credential that is still valid at ``at``; notes that it was used."""
        known = self._known.get(digest)
        return known if known is not None and self._use(known, at) else None

    def recall(self, token: bytes, app_name: bytes | None, *, at: int) -> Principal | None:
        """The caller with a token, if that is remembered and valid at ``at``; notes that it was used.

        By the token itself, as it came: a digest costs as much as all the rest. None of it outlives a change of
        credentials.

        Raises:
            AppNameRequiredError: it is a token for any app, and none is named.
            InvalidAppNameError: it is no name of an app.
        """
        recalled = self._recalled.get((token, app_name))
        if recalled is not None:
            known, principal = recalled
            return principal if self._use(known, at) else None
        found = self.find(digest_of(token), at=at)
        if found is None:
            return None
        principal = found.principal_for(app_name)
        if len(self._recalled) >= self._max_entries:
            self._recalled.clear()
        self._recalled[token, app_name] = found, principal
        return principal

    def _use(self, known: Known, at: int) -> bool:
        """Note a use, unless the credential has expired."""
        if known.expires_at is not None and known.expires_at <= at:
            return False
        if known.token_id is not None and at - known.noted_at >= MINUTE:
            known.noted_at = self._used[known.token_id] = at
        return True

    def remember(self, digest: bytes, known: Known) -> None:
        """Add an entry, unless it is older than what this cache already knows to have changed."""
        if known.revision < self.revision:
            return
        self._refused.pop(digest, None)
        if len(self._known) >= self._max_entries and digest not in self._known:
            del self._known[next(iter(self._known))]
        self._known[digest] = known

    def refuse(self, digest: bytes, reason: str, *, at: int) -> None:
        """Remember for half a second that a credential is not valid."""
        if len(self._refused) >= self._max_entries:
            self._refused.clear()
        self._refused[digest] = (at + REFUSED_FOR, reason)

    def refusal(self, digest: bytes, *, at: int) -> str | None:
        """Why this credential was refused a moment ago."""
        until, reason = self._refused.get(digest, (0, ""))
        return reason if at < until else None

    def token_digests(self) -> list[bytes]:
        """The digests of all remembered app tokens."""
        return [digest for digest, known in self._known.items() if known.user is None]

    def user_keys(self) -> set[str]:
        """The keys of all users with remembered tokens."""
        return {known.user.key for known in self._known.values() if known.user is not None}

    def refresh(self, snapshot: Snapshot, *, at: int) -> None:
        """Exchange all entries for what they stand for now; those that have become void go."""
        fresh = ((digest, _renew(digest, known, snapshot, at)) for digest, known in self._known.items())
        self._known = {digest: known for digest, known in fresh if known is not None}
        self._refused.clear()
        self._recalled.clear()
        self.revision = snapshot.revision

    def take_used(self) -> dict[int, int]:
        """The app tokens (by id) used since the last call, and when."""
        used, self._used = self._used, {}
        return used

    def give_back_used(self, used: dict[int, int]) -> None:
        """Undo ``take_used`` where the uses could not be written."""
        self._used = used | self._used


def known_token(token: AppToken, *, revision: int) -> Known:
    """The entry of a valid app token."""
    name = token.app or "any app"
    return Known(
        principal=Principal("app", name, token.app, frozenset(token.scopes)),
        revision=revision,
        expires_at=token.expires_at,
        token_id=token.id,
        any_app=token.any_app,
        noted_at=token.last_used_at or 0,
    )


def known_user(user: User, *, scopes: Iterable[str], expires_at: int, revision: int) -> Known:
    """The entry of a person's valid token."""
    return Known(
        principal=Principal("user", user.name, None, frozenset(scopes)),
        revision=revision,
        expires_at=expires_at,
        user=UserState(user.name_key, user.version, user.role),
    )


def refusal_of(token: AppToken, *, at: int) -> str | None:
    """Why an app token is not valid at ``at``; None if it is."""
    if token.revoked_at is not None:
        return "the token was revoked"
    if token.expires_at is not None and token.expires_at <= at:
        return "the token has expired"
    return None


def _renew(digest: bytes, known: Known, snapshot: Snapshot, at: int) -> Known | None:
    if known.revision >= snapshot.revision:
        return known
    if known.user is not None:
        user = snapshot.users.get(known.user.key)
        return known if user is not None and _state_of(user) == known.user else None
    token = snapshot.tokens.get(digest)
    if token is None or refusal_of(token, at=at) is not None:
        return None
    renewed = known_token(token, revision=snapshot.revision)
    renewed.noted_at = max(renewed.noted_at, known.noted_at)
    return renewed


def _state_of(user: User) -> UserState | None:
    return None if user.disabled_at is not None else UserState(user.name_key, user.version, user.role)
