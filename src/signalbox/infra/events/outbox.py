"""Events in the main database: written with the change they tell of, handed on later (transactional outbox)."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Insert, RowMapping, Select, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.core.errors import InvalidError
from signalbox.infra.db import Dialect
from signalbox.infra.db.wake import CHANNEL, mark
from signalbox.infra.events.subscriber import PATTERN
from signalbox.infra.events.tables import Event, StoredEvent, event

_COLUMNS = [event.c[name] for name in StoredEvent.__slots__]

NEWS = "events"
"""By this name ``infra.db.wake`` tells of new events."""


def _insert(dialect: Dialect) -> Insert | Select[Any]:
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    names = ("topic", "severity", "dedup_key", "data", "created_at")
    values = {name: bindparam(name, type_=event.c[name].type) for name in names}
    made = make(event).values(values).on_conflict_do_nothing(index_elements=["dedup_key"]).returning(event.c.id)
    if dialect == "sqlite":
        return made
    new = made.cte("new")
    return select(new.c.id, func.pg_notify(CHANNEL, NEWS))


# built once: to build a statement costs several times what running it does
_INSERTS: dict[str, Insert | Select[Any]] = {"sqlite": _insert("sqlite"), "postgresql": _insert("postgresql")}
_FIND = select(*_COLUMNS).where(event.c.id == bindparam("wanted"))
_HAS_NEW = select(event.c.id).where(event.c.taken_at.is_(None)).limit(1)


class InvalidTopicError(InvalidError):
    """What is asked for is neither a topic nor the beginning of topics."""

    code = "invalid_topic"


def publish(tx: Connection, what: Event, *, now: int) -> int | None:
    """Write an event in the transaction of the change it tells of.

    Returns:
        Its id; None where an event with its ``dedup_key`` is there already.

    Raises:
        TypeError, ValueError: ``data`` is not JSON-safe.
    """
    row = {
        "topic": what.topic,
        "severity": what.severity,
        "dedup_key": what.dedup_key,
        "data": json.dumps(dict(what.data), allow_nan=False),
        "created_at": now,
    }
    found: int | None = tx.execute(_INSERTS[tx.dialect.name], row).scalar_one_or_none()
    if found is not None:
        mark(tx, NEWS, now)
    return found


def find_event(tx: Connection, number: int) -> StoredEvent | None:
    """One event; None where it was swept."""
    return next(iter(_to_events(tx.execute(_FIND, {"wanted": number}).mappings())), None)


def find_events(
    tx: Connection, *, topic: str | None = None, before: int | None = None, limit: int
) -> list[StoredEvent]:
    """Events with ids below ``before``, newest first, at most ``limit``.

    ``topic`` is a topic, or the beginning of topics as in ``gateway.*``; ``*`` and None stand for all.

    Raises:
        InvalidTopicError: ``topic`` is neither.
    """
    query = select(*_COLUMNS).order_by(event.c.id.desc()).limit(limit)
    if topic is not None and PATTERN.fullmatch(topic) is None:
        msg = f"{topic!r} is no topic; write one as in gateway.upstream_down, or the beginning of some as in gateway.*"
        raise InvalidTopicError(msg)
    if topic is not None and topic.endswith("*"):
        beginning = topic[:-1]
        query = query.where(func.substr(event.c.topic, 1, len(beginning)) == beginning)
    elif topic is not None:
        query = query.where(event.c.topic == topic)
    if before is not None:
        query = query.where(event.c.id < before)
    return _to_events(tx.execute(query).mappings())


def has_new(tx: Connection) -> bool:
    """Whether there are events that nobody took yet."""
    return tx.execute(_HAS_NEW).first() is not None


def take_new(tx: Connection, *, now: int, limit: int) -> list[StoredEvent]:
    """At most ``limit`` events that nobody took yet, oldest first; whoever calls hands them on in this transaction.

    Several processes may take at once: each event goes to one of them. Events are marked, not followed by id: on
    PostgreSQL a transaction may commit behind one that was given later ids, and its events would be passed over.
    """
    wanted = select(event.c.id).where(event.c.taken_at.is_(None)).order_by(event.c.id).limit(limit)
    chosen = wanted.with_for_update(skip_locked=True).cte("chosen")
    taken = update(event).where(event.c.id.in_(select(chosen.c.id))).values(taken_at=now).returning(*_COLUMNS)
    return sorted(_to_events(tx.execute(taken).mappings()), key=lambda each: each.id)


def delete_events(tx: Connection, *, older_than: int, limit: int) -> int:
    """Delete at most ``limit`` of the oldest events from before ``older_than``, taken or not; how many it were.

    A ``dedup_key`` may be used again once its event is gone.
    """
    created_at = event.c.created_at
    aged = select(event.c.id).where(created_at < older_than).order_by(created_at).limit(limit)
    return tx.execute(delete(event).where(event.c.id.in_(aged))).rowcount


def _to_events(rows: Iterable[RowMapping]) -> list[StoredEvent]:
    return [StoredEvent(**{**row, "data": json.loads(row["data"])}) for row in rows]
