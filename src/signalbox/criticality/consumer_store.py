"""Queries of consumers: who asks, how often, and who has been silent for too long."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, and_, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.criticality.models import Consumer, consumer, delivery, pulse
from signalbox.criticality.schemas import State


class Asked(NamedTuple):
    """How often an app asked since it was last written down, and when last; 0 times where it waits for a change."""

    app: str
    signal: str
    requests: int
    last_at: int


class Outage(NamedTuple):
    """A consumer that fell silent, or has come back."""

    id: int
    app: str
    signal: str
    period: int
    last_asked_at: int | None
    silent_since: int


_ROWS = {  # the rows of a statement as one parameter: its text stays the same, however many there are
    "sqlite": "SELECT value ->> 0 AS app, value ->> 1 AS signal, value ->> 2 AS requests, value ->> 3 AS at"
    " FROM json_each(:rows)",
    "postgresql": "SELECT value ->> 0 AS app, value ->> 1 AS signal, CAST(value ->> 2 AS bigint) AS requests,"
    " CAST(value ->> 3 AS bigint) AS at FROM json_array_elements(CAST(:rows AS json))",
}
_LATER = {"sqlite": "max", "postgresql": "GREATEST"}
_NOTES = {
    dialect: text(
        "INSERT INTO criticality_consumer (app, signal, first_asked_at, last_asked_at, requests, muted)"  # noqa: S608 - our names
        f" SELECT app, signal, at, at, requests, false FROM ({rows}) AS asked WHERE requests >= 0 ORDER BY app, signal"
        " ON CONFLICT (app, signal) DO UPDATE SET"
        " requests = criticality_consumer.requests + excluded.requests,"
        " first_asked_at = coalesce(criticality_consumer.first_asked_at, excluded.first_asked_at),"
        f" last_asked_at = {_LATER[dialect]}(coalesce(criticality_consumer.last_asked_at, 0), excluded.last_asked_at),"
        " overdue_at = CASE WHEN criticality_consumer.overdue_at IS NOT NULL THEN"
        f" {_LATER[dialect]}(criticality_consumer.overdue_at, excluded.last_asked_at + criticality_consumer.period) END"
        " WHERE excluded.requests > 0 OR criticality_consumer.overdue_at IS NOT NULL"
    )
    for dialect, rows in _ROWS.items()
}
"""Who is not watched has no ``overdue_at``, and does not get one by asking. Of those who ask nothing but are there only
who is watched is written down."""

_BEAT = {
    dialect: text(
        "INSERT INTO criticality_pulse (id, beat_at, up_since) VALUES (1, :now, :now)"  # noqa: S608 - our names
        " ON CONFLICT (id) DO UPDATE SET"
        " up_since = CASE WHEN criticality_pulse.beat_at < :alive_after THEN excluded.up_since"
        " ELSE criticality_pulse.up_since END,"
        f" beat_at = {later}(criticality_pulse.beat_at, excluded.beat_at)"
    )
    for dialect, later in _LATER.items()
}

_COLUMNS = [
    *consumer.c,
    func.coalesce(delivery.c.delivered, 0).label("delivered"),
    delivery.c.delivered_at,
    func.coalesce(delivery.c.acknowledged, 0).label("acknowledged"),
    delivery.c.acknowledged_at,
]
_CONSUMERS = select(*_COLUMNS).select_from(
    consumer.outerjoin(delivery, and_(delivery.c.app == consumer.c.app, delivery.c.signal == consumer.c.signal))
)
_OUTAGE = [consumer.c[name] for name in Outage._fields]

_CONDITIONS = {
    "retired": consumer.c.retired_at.is_not(None),
    "muted": and_(consumer.c.retired_at.is_(None), consumer.c.muted),
    "silent": consumer.c.silent_since.is_not(None),
    "unseen": and_(
        consumer.c.retired_at.is_(None),
        ~consumer.c.muted,
        consumer.c.silent_since.is_(None),
        consumer.c.last_asked_at.is_(None),
    ),
    "seen": and_(
        consumer.c.retired_at.is_(None),
        ~consumer.c.muted,
        consumer.c.silent_since.is_(None),
        consumer.c.last_asked_at.is_not(None),
    ),
}


def state_of(row: Consumer) -> State:
    """Where a consumer stands; says what the conditions of ``find_consumers`` say."""
    if row.retired_at is not None:
        return "retired"
    if row.muted:
        return "muted"
    if row.silent_since is not None:
        return "silent"
    return "unseen" if row.last_asked_at is None else "seen"


# -- asking -----------------------------------------------------------------------------------------------------------


def note_asks(tx: Connection, asks: Sequence[Asked]) -> None:
    """Add asks to their consumers, who are made where they are new; no pair of app and signal stands there twice."""
    tx.execute(_NOTES[tx.dialect.name], {"rows": msgspec.json.encode(asks).decode()})


def beat(tx: Connection, *, alive_after: int, now: int) -> None:
    """Say that asks are answered; where nobody said so since ``alive_after``, there has been a gap, which ends now."""
    tx.execute(_BEAT[tx.dialect.name], {"alive_after": alive_after, "now": now})


def find_pulse(tx: Connection) -> tuple[int, int] | None:
    """When asks were last answered, and since when without a gap; None if they never were."""
    row = tx.execute(select(pulse.c.beat_at, pulse.c.up_since)).first()
    return None if row is None else (row.beat_at, row.up_since)


# -- silence ----------------------------------------------------------------------------------------------------------


def mark_silent(tx: Connection, *, up_since: int, now: int, limit: int) -> list[Outage]:
    """Mark watched consumers that have not asked in time, though they could have since ``up_since``.

    Each outage is marked once, however many processes look.
    """
    late = and_(consumer.c.overdue_at <= now, consumer.c.silent_since.is_(None), consumer.c.period <= now - up_since)
    chosen = select(consumer.c.id).where(late).order_by(consumer.c.overdue_at).limit(limit)
    marked = update(consumer).where(consumer.c.id.in_(chosen), late).values(silent_since=now).returning(*_OUTAGE)
    return [Outage(*row) for row in tx.execute(marked)]


def end_outages(tx: Connection, *, now: int, limit: int) -> list[Outage]:
    """Take the mark off consumers that have asked again; ``silent_since`` as it was."""
    back = and_(consumer.c.silent_since.is_not(None), consumer.c.overdue_at > now)
    chosen = select(*_OUTAGE).where(back).order_by(consumer.c.id).limit(limit).with_for_update(skip_locked=True)
    found = [Outage(*row) for row in tx.execute(chosen)]
    if found:
        tx.execute(update(consumer).where(consumer.c.id.in_([each.id for each in found])).values(silent_since=None))
    return found


# -- registering ------------------------------------------------------------------------------------------------------


def find_consumer(tx: Connection, app: str, name: str) -> Consumer | None:
    """A consumer and what it was told of."""
    row = tx.execute(_CONSUMERS.where(consumer.c.app == app, consumer.c.signal == name)).mappings().first()
    return None if row is None else Consumer(**row)


def find_consumers(
    tx: Connection, *, name: str | None, state: State | None, before: int | None, limit: int
) -> list[Consumer]:
    """Consumers with ids below ``before``, newest first."""
    query = _CONSUMERS.order_by(consumer.c.id.desc()).limit(limit)
    if name is not None:
        query = query.where(consumer.c.signal == name)
    if state is not None:
        query = query.where(_CONDITIONS[state])
    if before is not None:
        query = query.where(consumer.c.id < before)
    return [Consumer(**row) for row in tx.execute(query).mappings()]


def put_consumer(tx: Connection, app: str, name: str, values: dict[str, Any]) -> None:
    """Write columns of a consumer, which is made where it is new."""
    make: Any = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = make(consumer).values(app=app, signal=name, **{"requests": 0, "muted": False, **values})
    tx.execute(statement.on_conflict_do_update(index_elements=["app", "signal"], set_=values))
