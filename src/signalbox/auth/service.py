"""What is done with app tokens, sign-ins and the key; what a process asks to keep its cache true.

Every change is audited and bumps the revision in the same transaction.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from signalbox.auth import store
from signalbox.auth.audit import record
from signalbox.auth.cache import Snapshot
from signalbox.auth.credentials import check_app_name
from signalbox.auth.errors import (
    AmbiguousTokenError,
    AppNameRequiredError,
    MissingScopeError,
    TokenRevokedError,
    UnknownScopeError,
    UnknownTokenError,
    WrongCredentialsError,
)
from signalbox.auth.models import AppToken, HashedPassword, User
from signalbox.auth.scopes import SCOPES, check_scopes, grants
from signalbox.auth.tokens import TOKEN_PREFIX, VISIBLE, digest_of, new_token

JWT_KEY: Final = "auth.jwt_key"

_ID: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new app token; ``text`` is the token itself and shown this once."""

    token: AppToken
    text: str


def create_token(
    tx: Connection,
    *,
    app: str | None,
    any_app: bool = False,
    scopes: Sequence[str],
    expires_at: int | None,
    actor: str,
    at: int,
    request_id: str | None = None,
) -> IssuedToken:
    """Make an app token; it works at once.

    Args:
        tx: The transaction.
        app: The app it is for; with ``any_app`` no more than a note.
        any_app: Whether the bearer names the app with each request.
        scopes: What it allows.
        expires_at: When it ends, in microseconds UTC; None for never.
        actor: Who makes it.
        at: The present, in microseconds UTC.
        request_id: The request that asks for it.

    Raises:
        AppNameRequiredError: there is neither ``app`` nor ``any_app``.
        InvalidAppNameError: ``app`` is no name of an app.
        UnknownScopeError: a scope is unknown, or there is none.
    """
    described = _describe(app=app, any_app=any_app, scopes=scopes)
    text = new_token()
    kept = {"prefix": text[:VISIBLE], "hash": digest_of(text.encode())}
    store.lock(tx)
    token = store.insert_token(
        tx, {**described, **kept, "expires_at": expires_at, "created_at": at, "created_by": actor}
    )
    after = {**described, "prefix": token.prefix, "expires_at": expires_at}
    _audit(tx, "token.create", token, None, after, actor=actor, at=at, request_id=request_id)
    store.bump(tx)
    return IssuedToken(token, text)


def revoke_token(tx: Connection, *, which: str, actor: str, at: int, request_id: str | None = None) -> AppToken:
    """Revoke an app token, named by its id or the beginning of its visible prefix; it fails within a second.

    Raises:
        UnknownTokenError: there is none.
        AmbiguousTokenError: several begin like this.
        TokenRevokedError: it was revoked before.
    """
    store.lock(tx)
    token = get_token(tx, which=which)
    if not store.revoke_token(tx, token_id=token.id, at=at):
        msg = f"the token {token.prefix} was revoked before"
        raise TokenRevokedError(msg)
    before, after = {"revoked_at": None}, {"revoked_at": at}
    _audit(tx, "token.revoke", token, before, after, actor=actor, at=at, request_id=request_id)
    store.bump(tx)
    return get_token(tx, which=str(token.id))


def list_tokens(tx: Connection) -> list[AppToken]:
    """All app tokens, newest first."""
    return store.list_tokens(tx)


def get_token(tx: Connection, *, which: str) -> AppToken:
    """An app token by its id or the beginning of its visible prefix (of the token itself, too).

    Raises:
        UnknownTokenError: there is none.
        AmbiguousTokenError: several begin like this.
    """
    found = _by_id(tx, which) or _by_prefix(tx, which)
    if not found:
        msg = f"there is no token with the id or prefix {which[:VISIBLE]!r}"
        raise UnknownTokenError(msg)
    if len(found) > 1:
        msg = f"several tokens begin with {which[:VISIBLE]!r}; give more characters or the id"
        raise AmbiguousTokenError(msg)
    return found[0]


def allowed_scopes(user: User, *, asked: Iterable[str]) -> frozenset[str]:
    """The scopes of a sign-in: those asked for, or the user's role where none are.

    Raises:
        UnknownScopeError: a scope is unknown.
        MissingScopeError: the user's role does not grant one of them.
    """
    held = frozenset({user.role})
    wanted = check_scopes(asked) or held
    for scope in sorted(wanted):
        if not grants(held, scope):
            msg = f"a user with the role {user.role} cannot have the scope {scope}"
            raise MissingScopeError(msg, scope=scope)
    return wanted


def signed_in(
    tx: Connection,
    *,
    user: User,
    rehashed: HashedPassword | None,
    scopes: frozenset[str],
    address: str,
    at: int,
    request_id: str | None = None,
) -> None:
    """Note a sign-in; ``rehashed`` replaces the hash of the same password.

    Raises:
        WrongCredentialsError: the user was disabled or got another password meanwhile.
    """
    store.lock(tx)
    if not store.signed_in(tx, user=user, rehashed=rehashed, at=at):
        msg = "the user or the password is wrong"
        raise WrongCredentialsError(msg)
    actor = target = f"user:{user.name}"
    after = {"scopes": sorted(scopes), "address": address}
    record(
        tx, actor=actor, action="user.sign_in", target=target, before=None, after=after, at=at, request_id=request_id
    )


def sign_in_failed(tx: Connection, *, user: User | None, address: str, at: int, request_id: str | None = None) -> None:
    """Note a refused sign-in. The name of no user is not kept: it may be a password in the wrong field."""
    target = "user:?" if user is None else f"user:{user.name}"
    action, after = "user.sign_in_refused", {"address": address}
    record(tx, actor="anonymous", action=action, target=target, before=None, after=after, at=at, request_id=request_id)


def find_token(tx: Connection, *, digest: bytes) -> tuple[int, AppToken | None]:
    """The revision, and the app token with this digest at that revision."""
    return store.revision(tx), store.find_token(tx, digest=digest)


def find_account(tx: Connection, *, key: str | None) -> tuple[int, User | None]:
    """The revision, and the user with this key at that revision; no user has the key None."""
    return store.revision(tx), None if key is None else store.find_user(tx, key=key)


def current_revision(tx: Connection) -> int:
    """Grows with every change of users and tokens."""
    return store.revision(tx)


def take_snapshot(tx: Connection, *, digests: Sequence[bytes], keys: Iterable[str]) -> Snapshot:
    """The app tokens and users asked for, and the revision they stand at."""
    revision = store.revision(tx)
    tokens = {token.hash: token for token in store.find_tokens(tx, digests=digests)}
    return Snapshot(revision, tokens, {user.name_key: user for user in store.find_users(tx, keys=keys)})


def note_uses(tx: Connection, *, used: dict[int, int]) -> None:
    """Note when app tokens (by id) were last used, in microseconds UTC; at most once a minute for each."""
    store.lock(tx)
    store.touch_tokens(tx, used=used)


def find_signing_key(tx: Connection) -> str | None:
    """The key that was made for this database, if one was."""
    return store.find_secret(tx, name=JWT_KEY)


def make_signing_key(tx: Connection) -> str:
    """The key of this database, made now unless it was before: 64 characters."""
    store.keep_secret(tx, name=JWT_KEY, value=secrets.token_urlsafe(48))
    return store.find_secret(tx, name=JWT_KEY) or ""


def _describe(*, app: str | None, any_app: bool, scopes: Sequence[str]) -> dict[str, Any]:
    if app is None and not any_app:
        msg = "name the app that the token is for, or make it a token for any app"
        raise AppNameRequiredError(msg)
    if not scopes:
        msg = f"a token needs a scope; the scopes are {', '.join(SCOPES)}"
        raise UnknownScopeError(msg)
    named = None if app is None else check_app_name(app)
    return {"app": named, "any_app": any_app, "scopes": sorted(check_scopes(scopes))}


def _audit(
    tx: Connection,
    action: str,
    token: AppToken,
    before: dict[str, Any] | None,
    after: dict[str, Any],
    *,
    actor: str,
    at: int,
    request_id: str | None,
) -> None:
    target = f"token:{token.id}"
    record(tx, actor=actor, action=action, target=target, before=before, after=after, at=at, request_id=request_id)


def _by_id(tx: Connection, which: str) -> list[AppToken]:
    if _ID.fullmatch(which) is None:
        return []
    token = store.find_token_by_id(tx, token_id=int(which))
    return [] if token is None else [token]


def _by_prefix(tx: Connection, which: str) -> list[AppToken]:
    random_part = which.removeprefix(TOKEN_PREFIX.decode())
    if not random_part or "\0" in random_part:
        return []
    return store.find_tokens_by_prefix(tx, prefix=(TOKEN_PREFIX.decode() + random_part)[:VISIBLE], limit=2)
