"""Deletes what replaced, failed and abandoned imports have left, a little at a time."""

from typing import Final

from sqlalchemy import Connection

from signalbox.conversations import importing, jobs, store
from signalbox.core.times import HOUR, MINUTE

KEPT_REPLACED: Final = 15 * MINUTE
"""How long a replaced version can still be read: a long export may be under way."""
KEPT_UNTOUCHED: Final = HOUR
"""An import without a job of which nothing was heard for so long has died."""


def sweep_some(tx: Connection, now: int, limit: int) -> int:
    """Delete some rows; how many, 0 once nothing is left."""
    leftovers = store.find_leftovers(tx, replaced_before=now - KEPT_REPLACED, untouched_since=now - KEPT_UNTOUCHED)
    for of in leftovers:
        if of.state in {"queued", "loading"}:
            if jobs.is_under_way(tx, of.id):  # a worker that was away for long comes back to it
                continue
            importing.fail(tx, of.id, "nothing was heard of it for an hour", now=now)
            return 1
        if done := store.sweep_import(tx, of, limit=limit):
            return done
        store.change_import(tx, of.id, swept=True, now=now)
    return 0
