"""The history of tasks, and the hint to whoever waits for a change."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from signalbox.infra.broadcast import Broadcast
from signalbox.infra.db.bulk import insert_rows
from signalbox.tasks.models import history
from signalbox.tasks.schemas import Change

CHANNEL: Final = "tasks"

MANY: Final = "*"
"""What is told instead of ids where they are too many."""
TOLD: Final = 200
"""Ids that are told at most; 17 characters each."""

_COLUMNS: Final = ("task", "at", "status_from", "status_to", "source", "detail")


class Journal:
    """Writes changes down, in the transaction that makes them, and tells all processes once it is committed."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    def write(self, tx: Connection, changes: Sequence[Change]) -> None:
        """Keep these changes."""
        if not changes:
            return
        insert_rows(tx, history, _COLUMNS, changes)
        ids = sorted({each.task for each in changes})
        self._broadcast.publish(tx, CHANNEL, MANY if len(ids) > TOLD else ",".join(map(str, ids)))
