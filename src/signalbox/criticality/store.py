"""Queries of levels, their history and who was told of them; those of consumers are in ``consumer_store``."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.criticality.models import Change, Current, StoredSignal, ask, change, signal, to_current, to_signal

Pair = tuple[str, str]
"""An app and a signal."""


class Told(NamedTuple):
    """An app is told of a revision of a signal."""

    app: str
    signal: str
    revision: int


class MinuteAsks(NamedTuple):
    """How often an app asked in a minute, as far as one process knows."""

    minute: int
    app: str
    signal: str
    writer: int
    asks: int


_FIND = {
    False: select(signal).where(signal.c.name == text(":name")),
    True: select(signal).where(signal.c.name == text(":name")).with_for_update(),
}
_ADDS = {
    dialect: make(signal).on_conflict_do_nothing()
    for dialect, make in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_ALL = select(signal).order_by(signal.c.name)

_ROWS = {  # the rows of a statement as one parameter: its text stays the same, however many there are
    "sqlite": "SELECT value ->> 0 AS app, value ->> 1 AS signal, value ->> 2 AS revision FROM json_each(:rows)",
    "postgresql": "SELECT value ->> 0 AS app, value ->> 1 AS signal, CAST(value ->> 2 AS bigint) AS revision"
    " FROM json_array_elements(CAST(:rows AS json))",
}
_CLAIMS = {
    dialect: text(
        "INSERT INTO criticality_delivery (app, signal, delivered, delivered_at, acknowledged)"  # noqa: S608 - our names
        f" SELECT app, signal, revision, :now, 0 FROM ({rows}) AS wanted WHERE revision > 0 ORDER BY app, signal"
        " ON CONFLICT (app, signal) DO UPDATE SET delivered = excluded.delivered, delivered_at = excluded.delivered_at"
        " WHERE criticality_delivery.delivered < excluded.delivered RETURNING app, signal"
    )
    for dialect, rows in _ROWS.items()
}
"""Rows in one order, so that two processes never wait for each other in a ring."""

_ASK_ROWS = {
    "sqlite": "SELECT value ->> 0 AS minute, value ->> 1 AS app, value ->> 2 AS signal, value ->> 3 AS writer,"
    " value ->> 4 AS count FROM json_each(:rows)",
    "postgresql": "SELECT CAST(value ->> 0 AS bigint) AS minute, value ->> 1 AS app, value ->> 2 AS signal,"
    " CAST(value ->> 3 AS bigint) AS writer, CAST(value ->> 4 AS bigint) AS count"
    " FROM json_array_elements(CAST(:rows AS json))",
}
_ASKS = {
    dialect: text(
        "INSERT INTO criticality_ask (minute, app, signal, writer, count)"  # noqa: S608 - our names
        f" SELECT minute, app, signal, writer, count FROM ({rows}) AS sums WHERE count > 0 ORDER BY app, signal"
        " ON CONFLICT (minute, app, signal, writer) DO UPDATE SET count = excluded.count"
    )
    for dialect, rows in _ASK_ROWS.items()
}
"""One statement for all rows: one for each would take the interpreter from the event loop as often."""

_ACKNOWLEDGE = text(
    "INSERT INTO criticality_delivery (app, signal, delivered, delivered_at, acknowledged, acknowledged_at)"
    " VALUES (:app, :signal, :revision, :now, :revision, :now)"
    " ON CONFLICT (app, signal) DO UPDATE SET"
    " delivered = CASE WHEN criticality_delivery.delivered < excluded.delivered"
    " THEN excluded.delivered ELSE criticality_delivery.delivered END,"
    " acknowledged = excluded.acknowledged, acknowledged_at = excluded.acknowledged_at"
    " WHERE criticality_delivery.acknowledged < excluded.acknowledged"
)


# -- signals ----------------------------------------------------------------------------------------------------------


def find_signal(tx: Connection, name: str, *, lock: bool = False) -> StoredSignal | None:
    """A signal; with ``lock`` nobody else changes it until the transaction ends."""
    row = tx.execute(_FIND[lock], {"name": name}).first()
    return None if row is None else to_signal(row)


def add_signal(tx: Connection, name: str) -> None:
    """A signal that no level was set of; nothing where it is there already."""
    tx.execute(_ADDS[tx.dialect.name], {"name": name, "last_revision": 0, "revision": 0})


def count_signals(tx: Connection) -> int:
    """How many signals there are."""
    return tx.execute(select(func.count()).select_from(signal)).scalar_one()


def find_signals(tx: Connection, *, names: Iterable[str] | None = None) -> list[Current]:
    """What signals stand at, by name; those without a level are left out."""
    query = _ALL if names is None else _ALL.where(signal.c.name.in_(sorted(names)))
    return [found for row in tx.execute(query) if (found := to_current(row)) is not None]


def add_change(tx: Connection, new: Change) -> None:
    """Keep a report under its revision, which becomes the last one given of its signal; and current, if it was let."""
    tx.execute(insert(change), {name: getattr(new, name) for name in Change.__slots__})
    values: dict[str, Any] = {"last_revision": new.revision}
    if new.why is None:
        names = ("revision", "level", "changed_at", "received_at", "set_by", "reason")
        values |= {name: getattr(new, name) for name in names}
    tx.execute(update(signal).where(signal.c.name == new.signal).values(values))


def hold(tx: Connection, name: str, *, level: int | None, until: int | None) -> None:
    """Keep reports below a level from becoming current until a moment; None: let them."""
    tx.execute(update(signal).where(signal.c.name == name).values(held_level=level, held_until=until))


def find_changes(tx: Connection, name: str, *, before: int | None, limit: int) -> list[Change]:
    """Reports of a signal, newest first, with revisions below ``before``."""
    query = select(change).where(change.c.signal == name)
    if before is not None:
        query = query.where(change.c.revision < before)
    rows = tx.execute(query.order_by(change.c.revision.desc()).limit(limit)).mappings()
    return [Change(**row) for row in rows]


def delete_changes(tx: Connection, *, older_than: int, limit: int) -> int:
    """Delete at most ``limit`` of the oldest reports that are not current; how many it were."""
    current = select(signal.c.revision).where(signal.c.name == change.c.signal).scalar_subquery()
    aged = (
        select(change.c.signal, change.c.revision)
        .where(change.c.received_at < older_than, change.c.revision != current)
        .order_by(change.c.received_at)
        .limit(limit)
        .subquery()
    )
    doomed = tx.execute(select(aged.c.signal, aged.c.revision)).all()
    by_signal: dict[str, list[int]] = {}
    for name, revision in doomed:
        by_signal.setdefault(name, []).append(revision)
    for name, revisions in by_signal.items():
        tx.execute(delete(change).where(change.c.signal == name, change.c.revision.in_(revisions)))
    return len(doomed)


# -- who was told -----------------------------------------------------------------------------------------------------


def claim(tx: Connection, wanted: Sequence[Told], *, now: int) -> set[Pair]:
    """Note that apps are told of revisions, each app at most once a signal.

    Returns:
        Those that were not told of it yet: whoever asked for them is to answer with the level, nobody else.
    """
    rows = msgspec.json.encode(wanted).decode()
    return {(app, name) for app, name in tx.execute(_CLAIMS[tx.dialect.name], {"rows": rows, "now": now})}


def acknowledge(tx: Connection, told: Told, *, now: int) -> None:
    """Note that an app says it has a revision; what is older than what it said before changes nothing."""
    tx.execute(_ACKNOWLEDGE, {**told._asdict(), "now": now})


# -- how often they asked ---------------------------------------------------------------------------------------------


def write_asks(tx: Connection, rows: Sequence[MinuteAsks]) -> None:
    """Write this process's sums of minutes over its older ones, in one statement."""
    tx.execute(_ASKS[tx.dialect.name], {"rows": msgspec.json.encode(rows).decode()})


def find_asks(
    tx: Connection, *, app: str | None, name: str | None, before: int | None, limit: int
) -> list[tuple[int, int]]:
    """Minutes before ``before`` in which somebody asked and how often, newest first."""
    query = select(ask.c.minute, func.sum(ask.c.count)).group_by(ask.c.minute)
    for column, wanted in ((ask.c.app, app), (ask.c.signal, name)):
        query = query if wanted is None else query.where(column == wanted)
    if before is not None:
        query = query.where(ask.c.minute < before)
    return [(minute, int(count)) for minute, count in tx.execute(query.order_by(ask.c.minute.desc()).limit(limit))]


def delete_asks(tx: Connection, *, older_than: int, limit: int) -> int:
    """Delete the sums of at most ``limit`` minutes from before ``older_than``, oldest first; how many rows it were."""
    minutes = select(ask.c.minute).where(ask.c.minute < older_than).distinct().order_by(ask.c.minute).limit(limit)
    return tx.execute(delete(ask).where(ask.c.minute.in_(minutes))).rowcount
