"""The tables of sign-on and of the audit trail, and their rows as plain values."""

from dataclasses import dataclass, field
from typing import Any, NewType

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, LargeBinary, Table, Text

from signalbox.auth.scopes import Role
from signalbox.infra.db.tables import BigId, Json, Micros, main

HashedPassword = NewType("HashedPassword", str)
"""An encoded argon2 hash; only ``passwords.Passwords`` makes one."""

users = Table(
    "users",
    main,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),  # the name in lower case
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("version", Integer, nullable=False),  # counts what makes earlier tokens void
    Column("created_at", Micros, nullable=False),
    Column("password_changed_at", Micros, nullable=False),
    Column("disabled_at", Micros),
    Column("last_login_at", Micros),
    CheckConstraint("role IN ('user', 'manager')", name="role"),
)

app_token = Table(
    "app_token",
    main,
    Column("id", BigId, primary_key=True),
    Column("app", Text),  # None only where any_app is true
    Column("any_app", Boolean, nullable=False),
    Column("prefix", Text, nullable=False, index=True),
    Column("hash", LargeBinary(32), nullable=False, unique=True),
    Column("scopes", Json, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Micros),
    Column("revoked_at", Micros),
    Column("last_used_at", Micros),
    CheckConstraint("any_app OR app IS NOT NULL", name="app"),
)

audit = Table(
    "audit",
    main,
    Column("id", BigId, primary_key=True),
    Column("at", Micros, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("before", Json),
    Column("after", Json),
    Column("request_id", Text),
    Index(None, "actor", "id"),
    Index(None, "target", "id"),
)

session = Table(
    "session",
    main,
    Column("digest", LargeBinary(32), primary_key=True),  # SHA-256 of what the browser holds
    Column("name_key", Text, nullable=False, index=True),
    Column("version", Integer, nullable=False),  # the user's when signing in
    Column("created_at", Micros, nullable=False),
    Column("expires_at", Micros, nullable=False, index=True),
)

secret = Table(
    "secret",
    main,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

auth_revision = Table(
    "auth_revision",
    main,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("revision", BigId, nullable=False),
    CheckConstraint("id = 1", name="single"),
)


@dataclass(frozen=True, slots=True)
class User:
    """A person; times in microseconds UTC."""

    id: int
    name: str
    name_key: str
    password_hash: HashedPassword = field(repr=False)
    role: Role
    version: int
    created_at: int
    password_changed_at: int
    disabled_at: int | None
    last_login_at: int | None


@dataclass(frozen=True, slots=True)
class AppToken:
    """What is known of an app's token, which itself is kept nowhere; times in microseconds UTC."""

    id: int
    app: str | None
    any_app: bool
    prefix: str
    hash: bytes = field(repr=False)
    scopes: list[str]
    created_at: int
    created_by: str
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One change: who did what to what, and how it was before and after; ``at`` in microseconds UTC."""

    id: int
    at: int
    actor: str
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str | None
