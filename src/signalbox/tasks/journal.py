"""The history of tasks, and the hint to whoever waits for a change."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Insert, bindparam, null

from signalbox.infra.broadcast import Broadcast
from signalbox.infra.db import Dialect
from signalbox.infra.db.bulk import insert_rows
from signalbox.infra.jobs.rows import DIALECTS, bound_ids, encode_ids
from signalbox.tasks.models import history
from signalbox.tasks.schemas import Change, Source, Status

CHANNEL: Final = "tasks"

MANY: Final = "*"
"""What is told instead of ids where they are too many."""
TOLD: Final = 200
"""Ids that are told at most; 17 characters each."""

_COLUMNS: Final = ("task", "at", "status_from", "status_to", "source", "detail")


def _alike(dialect: Dialect) -> Insert:
    same = [bindparam(name, type_=history.c[name].type) for name in _COLUMNS[1:-1]]
    return history.insert().from_select(_COLUMNS, bound_ids(dialect, "ids").add_columns(*same, null()))


_ALIKE: Final[dict[str, Insert]] = {dialect: _alike(dialect) for dialect in DIALECTS}


class Journal:
    """Writes changes down, in the transaction that makes them, and tells all processes once it is committed."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    def write(self, tx: Connection, changes: Sequence[Change]) -> None:
        """Keep these changes."""
        if not changes:
            return
        insert_rows(tx, history, _COLUMNS, changes)
        self._tell(tx, sorted({each.task for each in changes}))

    def write_alike(
        self, tx: Connection, ids: Sequence[int], *, status_from: Status, status_to: Status, source: Source, at: int
    ) -> None:
        """Keep the same change of many tasks."""
        if not ids:
            return
        values = {"ids": encode_ids(ids), "at": at, "status_from": status_from, "status_to": status_to}
        tx.execute(_ALIKE[tx.dialect.name], {**values, "source": source})
        self._tell(tx, ids)

    def _tell(self, tx: Connection, ids: Sequence[int]) -> None:
        self._broadcast.publish(tx, CHANNEL, MANY if len(ids) > TOLD else ",".join(map(str, ids)))
