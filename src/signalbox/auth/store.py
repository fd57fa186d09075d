"""All queries on users, app tokens, kept secrets and the revision that tells other processes of changes."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Result, Table, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.auth.models import AppToken, HashedPassword, User, app_token, auth_revision, secret, users
from signalbox.auth.scopes import Role
from signalbox.core.times import MINUTE

_CHUNK: Final = 500
"""Values in one ``IN``."""

_USES = {
    "sqlite": "SELECT value ->> 0 AS token_id, value ->> 1 AS used_at FROM json_each(:rows)",
    "postgresql": "SELECT CAST(value ->> 0 AS bigint) AS token_id, CAST(value ->> 1 AS bigint) AS used_at"
    " FROM json_array_elements(CAST(:rows AS json))",
}
_TOUCH = {
    dialect: text(
        f"UPDATE app_token SET last_used_at = used.used_at FROM ({rows}) AS used"  # noqa: S608 - our names
        " WHERE app_token.id = used.token_id"
        " AND (app_token.last_used_at IS NULL OR app_token.last_used_at <= used.used_at - CAST(:minute AS bigint))"
    )
    for dialect, rows in _USES.items()
}
"""One statement for all tokens: one for each would take the interpreter from the event loop as often."""


# -- the revision of users and tokens ---------------------------------------------------------------------------


def lock(tx: Connection) -> None:
    """Wait until no other transaction is changing users or tokens; held until the end of this one.

    Whoever changes several rows takes this first, so that two of them never wait for each other in a circle.
    On SQLite there is one writer anyhow.
    """
    tx.execute(select(auth_revision.c.revision).with_for_update())


def bump(tx: Connection) -> None:
    """Tell other processes that users or tokens have changed."""
    statement = _insert(tx, auth_revision).values(id=1, revision=1)
    following = {"revision": auth_revision.c.revision + 1}
    tx.execute(statement.on_conflict_do_update(index_elements=["id"], set_=following))


def revision(tx: Connection) -> int:
    """Grows with every change of users and tokens."""
    return tx.execute(select(auth_revision.c.revision)).scalar() or 0


# -- users ------------------------------------------------------------------------------------------------------


def insert_user(tx: Connection, *, name: str, key: str, password: HashedPassword, role: Role, at: int) -> User | None:
    """Add a user; None if one with this key exists."""
    values = {"name": name, "name_key": key, "password_hash": password, "role": role, "version": 1}
    statement = _insert(tx, users).values(**values, created_at=at, password_changed_at=at)
    return _user(tx.execute(statement.on_conflict_do_nothing(index_elements=["name_key"]).returning(users)))


def find_user(tx: Connection, *, key: str) -> User | None:
    """The user with this name in lower case."""
    return _user(tx.execute(select(users).where(users.c.name_key == key)))


def find_users(tx: Connection, *, keys: Iterable[str]) -> list[User]:
    """The users with these names in lower case, in no order."""
    return [
        User(**row)
        for chunk in _chunks(keys)
        for row in tx.execute(select(users).where(users.c.name_key.in_(chunk))).mappings()
    ]


def list_users(tx: Connection) -> list[User]:
    """All users by name."""
    return [User(**row) for row in tx.execute(select(users).order_by(users.c.name_key)).mappings()]


def any_user(tx: Connection) -> bool:
    """Whether there is a user at all."""
    return tx.execute(select(users.c.id).limit(1)).first() is not None


def set_password(tx: Connection, *, user_id: int, password: HashedPassword, at: int) -> None:
    """Replace a password; tokens issued before are void."""
    changed = {"password_hash": password, "password_changed_at": at, "version": users.c.version + 1}
    tx.execute(update(users).where(users.c.id == user_id).values(changed))


def set_role(tx: Connection, *, user_id: int, role: Role) -> None:
    """Give a user another role; tokens issued before are void."""
    changed = {"role": role, "version": users.c.version + 1}
    tx.execute(update(users).where(users.c.id == user_id).values(changed))


def set_disabled(tx: Connection, *, user_id: int, disabled_at: int | None) -> None:
    """Disable or enable a user; tokens issued before are void."""
    changed = {"disabled_at": disabled_at, "version": users.c.version + 1}
    tx.execute(update(users).where(users.c.id == user_id).values(changed))


def signed_in(tx: Connection, *, user: User, rehashed: HashedPassword | None, at: int) -> bool:
    """Note a sign-in and a new hash of the same password; False if the user has changed since it was read."""
    changed: dict[str, Any] = {"last_login_at": at}
    if rehashed is not None:
        changed["password_hash"] = rehashed
    same = (users.c.id == user.id) & (users.c.version == user.version) & users.c.disabled_at.is_(None)
    return tx.execute(update(users).where(same).values(changed)).rowcount == 1


# -- app tokens -------------------------------------------------------------------------------------------------


def insert_token(tx: Connection, values: Mapping[str, Any]) -> AppToken:
    """Add an app token; ``values`` hold what ``AppToken`` names, but its id and what happens to it later."""
    return AppToken(**tx.execute(insert(app_token).values(**values).returning(app_token)).mappings().one())


def find_token(tx: Connection, *, digest: bytes) -> AppToken | None:
    """The app token with this SHA-256."""
    return next(iter(find_tokens(tx, digests=[digest])), None)


def find_tokens(tx: Connection, *, digests: Iterable[bytes]) -> list[AppToken]:
    """The app tokens with these SHA-256 digests, in no order."""
    return [
        AppToken(**row)
        for chunk in _chunks(digests)
        for row in tx.execute(select(app_token).where(app_token.c.hash.in_(chunk))).mappings()
    ]


def find_token_by_id(tx: Connection, *, token_id: int) -> AppToken | None:
    """The app token with this id."""
    row = tx.execute(select(app_token).where(app_token.c.id == token_id)).mappings().first()
    return None if row is None else AppToken(**row)


def find_tokens_by_prefix(tx: Connection, *, prefix: str, limit: int) -> list[AppToken]:
    """App tokens whose visible prefix begins like this, in the case given."""
    same = func.substr(app_token.c.prefix, 1, len(prefix)) == prefix
    return [AppToken(**row) for row in tx.execute(select(app_token).where(same).limit(limit)).mappings()]


def list_tokens(tx: Connection) -> list[AppToken]:
    """All app tokens, newest first."""
    return [AppToken(**row) for row in tx.execute(select(app_token).order_by(app_token.c.id.desc())).mappings()]


def revoke_token(tx: Connection, *, token_id: int, at: int) -> bool:
    """Revoke an app token; False if it was revoked before."""
    active = (app_token.c.id == token_id) & app_token.c.revoked_at.is_(None)
    return tx.execute(update(app_token).where(active).values(revoked_at=at)).rowcount == 1


def touch_tokens(tx: Connection, *, used: Mapping[int, int]) -> None:
    """Note when app tokens (by id) were last used; those noted less than a minute earlier stay as they are."""
    if used:
        tx.execute(_TOUCH[tx.dialect.name], {"rows": json.dumps(sorted(used.items())), "minute": MINUTE})


# -- kept secrets -----------------------------------------------------------------------------------------------


def find_secret(tx: Connection, *, name: str) -> str | None:
    """The value kept under this name."""
    return tx.execute(select(secret.c.value).where(secret.c.name == name)).scalar()


def keep_secret(tx: Connection, *, name: str, value: str) -> None:
    """Keep a value unless one is kept under this name."""
    tx.execute(_insert(tx, secret).values(name=name, value=value).on_conflict_do_nothing(index_elements=["name"]))


def _insert(tx: Connection, table: Table) -> Any:
    dialect: Any = postgresql if tx.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _user(found: Result[Any]) -> User | None:
    row = found.mappings().first()
    return None if row is None else User(**row)


def _chunks(values: Iterable[Any]) -> Iterator[Sequence[Any]]:
    remaining = iter(values)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
