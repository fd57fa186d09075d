"""What is done with users. Every change is audited and bumps the revision in the same transaction.

Passwords arrive hashed (``Passwords.hash``): hashing takes too long to be done while a transaction is open.
"""

import re
from typing import Any, Final

from sqlalchemy import Connection

from signalbox.auth import store
from signalbox.auth.audit import record
from signalbox.auth.errors import InvalidUserNameError, UnknownUserError, UserExistsError, UserUnchangedError
from signalbox.auth.models import HashedPassword, User
from signalbox.auth.scopes import MANAGER, Role

FIRST_USER: Final = "admin"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")


def name_key(name: str) -> str | None:
    """What two spellings of one user's name share; None if no user can have that name."""
    return name.lower() if _NAME.fullmatch(name) else None


def check_name(name: str) -> str:
    """The key of a name that a user may have.

    Raises:
        InvalidUserNameError: no user may.
    """
    key = name_key(name)
    if key is None:
        msg = "a user name has 1 to 100 letters, digits and . _ @ + - and begins with a letter or digit"
        raise InvalidUserNameError(msg)
    return key


def add_user(
    tx: Connection,
    *,
    name: str,
    password: HashedPassword,
    role: Role,
    actor: str,
    at: int,
    request_id: str | None = None,
) -> User:
    """Add a user.

    Raises:
        InvalidUserNameError: the name cannot be a user's.
        UserExistsError: a user has that name, in whatever case.
    """
    key = check_name(name)
    store.lock(tx)
    user = store.insert_user(tx, name=name, key=key, password=password, role=role, at=at)
    if user is None:
        msg = f"there is a user {name} already"
        raise UserExistsError(msg)
    after = {"name": user.name, "role": user.role}
    _changed(tx, user, action="user.add", actor=actor, at=at, request_id=request_id, before=None, after=after)
    return user


def bootstrap_admin(tx: Connection, *, password: HashedPassword, actor: str, at: int) -> bool:
    """Add the manager ``admin`` if there is no user at all; whether it was added."""
    store.lock(tx)
    if store.any_user(tx):
        return False
    add_user(tx, name=FIRST_USER, password=password, role=MANAGER, actor=actor, at=at)
    return True


def set_password(
    tx: Connection, *, name: str, password: HashedPassword, actor: str, at: int, request_id: str | None = None
) -> User:
    """Replace a user's password; whoever is signed in with the old one no longer is.

    Raises:
        UnknownUserError: there is no such user.
    """
    store.lock(tx)
    user = get_user(tx, name=name)
    store.set_password(tx, user_id=user.id, password=password, at=at)
    before, after = {"password_changed_at": user.password_changed_at}, {"password_changed_at": at}
    _changed(tx, user, action="user.password", actor=actor, at=at, request_id=request_id, before=before, after=after)
    return get_user(tx, name=name)


def set_role(tx: Connection, *, name: str, role: Role, actor: str, at: int, request_id: str | None = None) -> User:
    """Give a user another role; whoever is signed in must sign in again.

    Raises:
        UnknownUserError: there is no such user.
        UserUnchangedError: the user has that role already.
    """
    store.lock(tx)
    user = get_user(tx, name=name)
    if user.role == role:
        msg = f"the user {user.name} has the role {role} already"
        raise UserUnchangedError(msg)
    store.set_role(tx, user_id=user.id, role=role)
    _changed(
        tx,
        user,
        action="user.role",
        actor=actor,
        at=at,
        request_id=request_id,
        before={"role": user.role},
        after={"role": role},
    )
    return get_user(tx, name=name)


def disable_user(tx: Connection, *, name: str, actor: str, at: int, request_id: str | None = None) -> User:
    """Keep a user from signing in; tokens issued before are void.

    Raises:
        UnknownUserError: there is no such user.
        UserUnchangedError: the user is disabled already.
    """
    return _set_disabled(tx, name=name, disabled_at=at, actor=actor, at=at, request_id=request_id)


def enable_user(tx: Connection, *, name: str, actor: str, at: int, request_id: str | None = None) -> User:
    """Let a disabled user sign in again.

    Raises:
        UnknownUserError: there is no such user.
        UserUnchangedError: the user is not disabled.
    """
    return _set_disabled(tx, name=name, disabled_at=None, actor=actor, at=at, request_id=request_id)


def list_users(tx: Connection) -> list[User]:
    """All users by name."""
    return store.list_users(tx)


def any_user(tx: Connection) -> bool:
    """Whether there is a user at all."""
    return store.any_user(tx)


def get_user(tx: Connection, *, name: str) -> User:
    """The user of that name, in whatever case.

    Raises:
        UnknownUserError: there is no such user.
    """
    key = name_key(name)
    user = None if key is None else store.find_user(tx, key=key)
    if user is None:
        msg = f"there is no user {name[:100]!r}"
        raise UnknownUserError(msg)
    return user


def _set_disabled(
    tx: Connection, *, name: str, disabled_at: int | None, actor: str, at: int, request_id: str | None = None
) -> User:
    store.lock(tx)
    user = get_user(tx, name=name)
    verb = "enable" if disabled_at is None else "disable"
    if (user.disabled_at is None) == (disabled_at is None):
        msg = f"the user {user.name} is {verb}d already"
        raise UserUnchangedError(msg)
    store.set_disabled(tx, user_id=user.id, disabled_at=disabled_at)
    before, after = {"disabled_at": user.disabled_at}, {"disabled_at": disabled_at}
    _changed(tx, user, action=f"user.{verb}", actor=actor, at=at, request_id=request_id, before=before, after=after)
    return get_user(tx, name=name)


def _changed(
    tx: Connection,
    user: User,
    *,
    action: str,
    actor: str,
    at: int,
    request_id: str | None,
    before: dict[str, Any] | None,
    after: dict[str, Any],
) -> None:
    target = f"user:{user.name}"
    record(tx, actor=actor, action=action, target=target, before=before, after=after, at=at, request_id=request_id)
    store.bump(tx)
