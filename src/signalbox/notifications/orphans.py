"""Deliveries to channels that the settings do not name any more: nobody would ever make them."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import CTE, Connection, Select, bindparam, func, literal_column, or_, select, union

from signalbox.core.times import MINUTE
from signalbox.infra.events import Event, publish
from signalbox.notifications import store
from signalbox.notifications.models import delivery
from signalbox.notifications.store import PENDING

PATIENCE: Final = 5 * MINUTE
"""How long something is overdue before it is given up: a process with newer settings may know its channel."""
DEAD: Final = "notification.dead"

_d = delivery.c
_SENDING = _d.state == literal_column("'sending'")


def _waiting_names() -> Select[Any]:
    """The channels that something waits for, each found by one step into the index, however long the queues are."""
    first = select(func.min(_d.channel).label("name")).where(PENDING)
    names: CTE = first.cte("names", recursive=True)
    following = select(func.min(_d.channel)).where(PENDING, _d.channel > names.c.name).scalar_subquery()
    names = names.union_all(select(following).where(names.c.name.is_not(None)))
    begun = select(_d.channel).where(_SENDING, _d.state != literal_column("'sent'"))
    return select(union(select(names.c.name).where(names.c.name.is_not(None)), begun).subquery().c.name)


_NAMES = _waiting_names()
_OVERDUE = (
    select(_d.number)
    .where(_d.channel == bindparam("name"), _d.due_at < bindparam("before"), or_(PENDING, _SENDING))
    .order_by(_d.number)
    .limit(bindparam("most"))
)


def end_orphans(tx: Connection, known: Collection[str], *, now: int, limit: int) -> int:
    """Give up at most ``limit`` deliveries to channels beside those ``known`` that are long overdue; how many it were.

    One event for each channel says so. When the channel is back they can be tried again like all that is dead.
    """
    ended = 0
    for name in sorted(set(tx.execute(_NAMES).scalars()) - set(known)):
        before = {"name": name, "before": now - PATIENCE, "most": limit - ended}
        numbers = list(tx.execute(_OVERDUE, before).scalars()) if ended < limit else []
        if numbers:
            _end(tx, name, numbers, now=now)
            ended += len(numbers)
    return ended


def _end(tx: Connection, name: str, numbers: Collection[int], *, now: int) -> None:
    reason = f"the settings name no channel {name!r} any more; put it back and try again"
    for number in numbers:
        store.end_dead(tx, number, reason=reason, now=now)
    told = f"{len(numbers)} messages were given up, as {reason}"
    publish(tx, Event(DEAD, {"channel": name, "reason": reason, "description": told}, severity="error"), now=now)
