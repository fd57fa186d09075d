"""Turns minutes into hours, so that a summary over weeks reads few rows."""

from collections.abc import Iterable

from sqlalchemy import Connection

from signalbox.core.times import HOUR
from signalbox.gateway import store
from signalbox.gateway.schemas import Filters
from signalbox.gateway.store import Part
from signalbox.gateway.sums import Key, Sums

WAIT = 2 * HOUR
"""How long after its end an hour is rolled up. Processes write their minutes within a second of them, but later
where the database was away, and clocks differ. An hour done too early is only done again: ``store.write_batch``
makes each hour due into which it writes."""


def roll_up_hours(tx: Connection, *, now: int, limit: int) -> int:
    """Build at most ``limit`` of the oldest due hours that ended ``WAIT`` ago, from the minutes of all processes.

    May run in several processes at once; each hour is done by one of them.

    Returns:
        How many hours were built.
    """
    hours = store.find_due_hours(tx, until=(now - WAIT) // HOUR * HOUR, limit=limit)
    return sum([_roll_up(tx, hour) for hour in hours])


def _roll_up(tx: Connection, hour: int) -> bool:
    if not store.take_due_hour(tx, hour):
        return False
    store.replace_hour(tx, hour, _merged(store.find_sums(tx, Filters(since=hour, until=hour + HOUR))))
    return True


def _merged(minutes: Iterable[Part]) -> dict[Key, Sums]:
    merged: dict[Key, Sums] = {}
    for part in minutes:
        merged.setdefault((part.upstream, part.route, part.method, part.status), Sums()).merge(part.sums)
    return merged
