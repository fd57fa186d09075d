"""All queries on sessions of browsers."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.sql.selectable import Select

from signalbox.auth.models import User, session, users


def insert_session(tx: Connection, *, digest: bytes, user: User, at: int, expires_at: int) -> None:
    """Add a session of a user; times in microseconds UTC."""
    values = {"digest": digest, "name_key": user.name_key, "version": user.version}
    tx.execute(insert(session).values(**values, created_at=at, expires_at=expires_at))


def find_session(tx: Connection, *, digest: bytes, at: int) -> tuple[User, int] | None:
    """Whose session this is and when it expires; None where it has ended, or the user has changed since."""
    row = tx.execute(_valid(at).where(session.c.digest == digest)).mappings().first()
    if row is None:
        return None
    return User(**{column.name: row[column.name] for column in users.c}), row["expires_at"]


def find_valid(tx: Connection, *, digests: Collection[bytes], at: int) -> set[bytes]:
    """Those of these sessions that still hold."""
    held = _valid(at).with_only_columns(session.c.digest).where(session.c.digest.in_(list(digests)))
    return set(tx.execute(held).scalars())


def delete_session(tx: Connection, *, digest: bytes) -> str | None:
    """End a session; the key of its user, None where there was none."""
    return tx.execute(delete(session).where(session.c.digest == digest).returning(session.c.name_key)).scalar()


def delete_expired(tx: Connection, *, at: int, limit: int) -> int:
    """Delete at most ``limit`` sessions that are over; how many it were."""
    old = select(session.c.digest).where(session.c.expires_at <= at).limit(limit)
    return tx.execute(delete(session).where(session.c.digest.in_(old))).rowcount


def _valid(at: int) -> Select[tuple[object, ...]]:
    """Sessions with their users: not over, and the user as at the sign-in (a new password makes another version)."""
    joined = session.join(users, users.c.name_key == session.c.name_key)
    return (
        select(*users.c, session.c.expires_at)
        .select_from(joined)
        .where(session.c.expires_at > at, users.c.version == session.c.version, users.c.disabled_at.is_(None))
    )
