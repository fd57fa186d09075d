"""The history of tasks, and the hint to whoever waits for a change."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Insert, Select, Update, bindparam, null, select

from signalbox.infra.broadcast import Broadcast
from signalbox.infra.db import Dialect
from signalbox.infra.db.bulk import insert_rows
from signalbox.infra.db.rows import bound_ids, encode_ids
from signalbox.tasks.models import history
from signalbox.tasks.schemas import Change, Source, Status

CHANNEL: Final = "tasks"

MANY: Final = "*"
"""What is told instead of ids where they are too many."""
TOLD: Final = 200
"""Ids that are told at most; 17 characters each."""

_COLUMNS: Final = ("task", "at", "status_from", "status_to", "source", "detail")


class Alike:
    """The same change of many tasks, with its history: an UPDATE for each dialect that returns their ids.

    PostgreSQL does both in one statement, which spares it a second look at thousands of ids.
    """

    def __init__(self, changes: Mapping[Dialect, Update]) -> None:
        self._change, self._note = changes["sqlite"], _note(bound_ids("sqlite", "noted"))
        changed = changes["postgresql"].cte("changed")
        self._both = _note(select(changed.c.id)).returning(history.c.task)

    def run(self, tx: Connection, values: Mapping[str, Any], noted: Mapping[str, Any]) -> Sequence[int]:
        """Make the change; the ids of those that it was made of."""
        if tx.dialect.name == "postgresql":
            return tx.execute(self._both, {**values, **noted}).scalars().all()
        ids = tx.execute(self._change, values).scalars().all()
        if ids:
            tx.execute(self._note, {"noted": encode_ids(ids), **noted})
        return ids


def _note(ids: Select[tuple[int]]) -> Insert:
    same = [bindparam(name, type_=history.c[name].type) for name in _COLUMNS[1:-1]]
    return history.insert().from_select(_COLUMNS, ids.add_columns(*same, null()))


class Journal:
    """Writes changes down, in the transaction that makes them, and tells all processes once it is committed."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    def write(self, tx: Connection, changes: Sequence[Change]) -> None:
        """Keep these changes."""
        if not changes:
            return
        insert_rows(tx, history, _COLUMNS, changes)
        self.tell(tx, sorted({each.task for each in changes}))

    def change_alike(
        self,
        tx: Connection,
        change: Alike,
        values: Mapping[str, Any],
        *,
        status_from: Status,
        status_to: Status,
        source: Source,
        at: int,
    ) -> int:
        """Make the same change of many tasks and keep it; ``values`` are those of the UPDATE. How many tasks it were."""
        noted = {"at": at, "status_from": status_from, "status_to": status_to, "source": source}
        ids = change.run(tx, values, noted)
        self.tell(tx, ids)
        return len(ids)

    def tell(self, tx: Connection, ids: Sequence[int]) -> None:
        """Tell of tasks that are new, changed or gone, and write nothing."""
        if not ids:
            return
        self._broadcast.publish(tx, CHANNEL, MANY if len(ids) > TOLD else ",".join(map(str, ids)))
