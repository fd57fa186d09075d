"""Queries of what people look at: levels over time, and who asked how often."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, select, true

from signalbox.criticality.models import ask, change


class StoredStep(NamedTuple):
    """What a signal stood at after a part of a period, and the extremes within it."""

    at: int
    """When the last report of the part came in."""
    level: int
    lowest: int
    highest: int
    set_by: str
    reason: str | None


class AppAsks(NamedTuple):
    """How often an app asked for a signal."""

    app: str
    signal: str
    asks: int


def find_steps(tx: Connection, name: str, *, since: int, until: int, parts: int) -> list[StoredStep]:
    """Changes of a level from ``since`` to before ``until``, the last one of each of ``parts`` equal parts, in order."""
    width = max(1, -(-(until - since) // parts))
    number = (change.c.received_at - since) // width
    within = and_(
        change.c.signal == name, change.c.why.is_(None), change.c.received_at >= since, change.c.received_at < until
    )
    grouped = (
        select(
            func.max(change.c.revision).label("revision"),
            func.min(change.c.level).label("lowest"),
            func.max(change.c.level).label("highest"),
        )
        .where(within)
        .group_by(number)
        .subquery()
    )
    query = (
        select(
            change.c.received_at,
            change.c.level,
            grouped.c.lowest,
            grouped.c.highest,
            change.c.set_by,
            change.c.reason,
        )
        .join(grouped, and_(change.c.signal == name, change.c.revision == grouped.c.revision))
        .order_by(change.c.revision)
    )
    return [StoredStep(*row) for row in tx.execute(query)]


def find_level_before(tx: Connection, name: str, *, moment: int) -> StoredStep | None:
    """What a signal stood at just before a moment; None where that is not kept any more, or nothing was set."""
    query = (
        select(change.c.received_at, change.c.level, change.c.level, change.c.level, change.c.set_by, change.c.reason)
        .where(change.c.signal == name, change.c.why.is_(None), change.c.received_at < moment)
        .order_by(change.c.revision.desc())
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None else StoredStep(*row)


def find_app_asks(tx: Connection, *, name: str | None, since: int, until: int, limit: int) -> list[AppAsks]:
    """Who asked most in the minutes from ``since`` to before ``until``, most first."""
    total = func.sum(ask.c.count)
    query = select(ask.c.app, ask.c.signal, total).where(_within(name, since, until)).group_by(ask.c.app, ask.c.signal)
    rows = tx.execute(query.order_by(total.desc(), ask.c.app, ask.c.signal).limit(limit))
    return [AppAsks(app, signal, int(asks)) for app, signal, asks in rows]


def count_asks(tx: Connection, *, name: str | None, since: int, until: int) -> int:
    """How often all together asked in these minutes."""
    return int(
        tx.execute(select(func.coalesce(func.sum(ask.c.count), 0)).where(_within(name, since, until))).scalar_one()
    )


def _within(name: str | None, since: int, until: int) -> ColumnElement[bool]:
    return and_(ask.c.minute >= since, ask.c.minute < until, true() if name is None else ask.c.signal == name)
