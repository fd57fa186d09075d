"""Who may send now on a channel that has a rate, or for a group; and which messages go in one. In one transaction.

Whoever asks holds the job of one delivery. Others that wait beside it may be carried by it: they are told of within the
same message, and their own jobs find nothing left to do.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.core.rates import Rate
from signalbox.core.times import MINUTE
from signalbox.notifications import pacing, store
from signalbox.notifications.models import channel_state, delivery, message
from signalbox.notifications.schemas import StoredMessage
from signalbox.notifications.store import MESSAGE_COLUMNS, PENDING, Due, to_message

MAX_CARRIED = 50
_FAR_BACK = 1_000
"""Places in a queue that are told apart."""
_PATIENCE = MINUTE
"""How long a delivery gives way to older ones: the job of one of them may be gone."""

_d, _s = delivery.c, channel_state.c


class Pace(NamedTuple):
    """How a channel may send."""

    rate: Rate | None
    digest: bool
    at_once: int
    """How many messages fit into one."""


class Start(NamedTuple):
    """It may be sent now; ``carried`` are the messages that go with it, oldest first."""

    carried: list[StoredMessage]


class Wait(NamedTuple):
    """Not yet."""

    until: int
    reason: str


Permit = Callable[[Connection, int], Wait | None]
"""``permit(tx, now)`` takes a permit of the host's budget; None, or when to ask again."""

Hides = Callable[[Connection, StoredMessage, int], str | None]
"""``hides(tx, message, now)``: why a message is not to be told by now; None where it is."""


def begin(tx: Connection, due: Due, *, pace: Pace, permit: Permit, hides: Hides, now: int) -> Start | Wait | None:
    """Take a delivery, and what it carries; None where it is not to be made any more, as it was hidden meanwhile."""
    sends = _lock_channel(tx, due.channel) if pace.rate is not None else []
    state = tx.execute(select(_d.state).where(_d.number == due.number).with_for_update()).scalar_one_or_none()
    if state not in {"pending", "sending"}:
        return None
    carried = _carried(tx, due.number)
    reasons = [hides(tx, each, now) for each in (due.message, *carried)]
    if reasons[0] is not None and all(reasons):  # a digest is told as long as anything in it is to be
        store.set_suppressed(tx, due.number, reason=reasons[0], now=now)
        store.set_carried(tx, due.number, state="suppressed", reason=reasons[0], now=now)
        return None
    if pace.rate is not None and (wait := _wait(tx, due, sends, pace=pace, rate=pace.rate, now=now)) is not None:
        return wait
    if (later := permit(tx, now)) is not None:
        return later
    room = pace.at_once - len(carried) - 1
    if room > 0:
        company = _company(tx, due, sends, pace=pace, room=room, now=now)
        carried += _collapse(tx, due, company, hides=hides, now=now)
    if pace.rate is not None:
        _set_sends(tx, due.channel, pacing.add_send(sends, pace.rate, now=now))
    tx.execute(update(delivery).where(_d.number == due.number).values(state="sending"))
    return Start(sorted(carried, key=lambda each: each.number))


_ENSURE = {
    "sqlite": sqlite.insert(channel_state).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(channel_state).on_conflict_do_nothing(),
}


def _lock_channel(tx: Connection, name: str) -> list[int]:
    """When the last messages of a channel began; nobody else begins one until ``tx`` ends."""
    tx.execute(_ENSURE[tx.dialect.name], {"name": name})
    found = tx.execute(select(_s.sends).where(_s.name == name).with_for_update()).scalar_one()
    return [] if found is None else [int(each) for each in json.loads(found)]


def _set_sends(tx: Connection, name: str, sends: Sequence[int]) -> None:
    tx.execute(update(channel_state).where(_s.name == name).values(sends=json.dumps(list(sends))))


def _wait(tx: Connection, due: Due, sends: Sequence[int], *, pace: Pace, rate: Rate, now: int) -> Wait | None:
    """Until when, where it is not its turn: no slot is free, or older ones wait that cannot go with it."""
    slot = pacing.next_slot(sends, rate, now=now)
    older = _older(tx, due, now=now)
    gives_way = not pace.digest and older > 0 and now - due.due_at < _PATIENCE
    if slot <= now and not gives_way:
        return None
    later = pacing.turn(older, rate, at_once=pace.at_once if pace.digest else 1)
    return Wait(max(slot + later, now + pacing.MARGIN), f"waits for its turn: the channel takes {rate}")


def _older(tx: Connection, due: Due, *, now: int) -> int:
    """How many wait before this one, at most ``_FAR_BACK``."""
    before = (_d.number < due.number) & (_d.due_at <= now) & _d.group_key.is_(None)
    rows = select(_d.number).where(PENDING, _d.channel == due.channel, before).limit(_FAR_BACK)
    return int(tx.execute(select(func.count()).select_from(rows.subquery())).scalar_one())


def _company(tx: Connection, due: Due, sends: Sequence[int], *, pace: Pace, room: int, now: int) -> list[int]:
    """The deliveries that go with this one: of its group, or of a burst that is more than the rate lets through."""
    others = select(_d.number).where(PENDING, _d.number != due.number, _d.due_at <= now)
    others = others.order_by(_d.number).limit(room).with_for_update()
    if due.group_key is not None:
        return list(tx.execute(others.where(_d.group_key == due.group_key)).scalars())
    if pace.rate is None or not pace.digest:
        return []
    waiting = list(tx.execute(others.where(_d.channel == due.channel, _d.group_key.is_(None))).scalars())
    return waiting if len(waiting) >= pacing.free_slots(sends, pace.rate, now=now) else []


_COLLAPSE = (
    update(delivery)
    .where(_d.number == bindparam("wanted"), PENDING)
    .values(state=literal_column("'collapsed'"), carried_by=bindparam("by"), reason=bindparam("why"))
)


def _collapse(tx: Connection, due: Due, numbers: Sequence[int], *, hides: Hides, now: int) -> list[StoredMessage]:
    """Have deliveries go with this one, but for those that are hidden by now: they end."""
    if not numbers:
        return []
    found = select(_d.number, *MESSAGE_COLUMNS).select_from(delivery.join(message)).where(_d.number.in_(numbers))
    told: list[StoredMessage] = []
    rows: list[dict[str, Any]] = []
    for number, *of in tx.execute(found).all():
        each = to_message(of)
        if (reason := hides(tx, each, now)) is not None:
            store.set_suppressed(tx, number, reason=reason, now=now)
        else:
            told.append(each)
            rows.append({"wanted": number, "by": due.number, "why": f"told of within {due.message.id}"})
    if rows:
        tx.execute(_COLLAPSE, rows)
    return told


def _carried(tx: Connection, number: int) -> list[StoredMessage]:
    """What an earlier attempt has taken along already."""
    mine = (_d.carried_by == number) & (_d.state == literal_column("'collapsed'"))
    return [
        to_message(row) for row in tx.execute(select(*MESSAGE_COLUMNS).select_from(delivery.join(message)).where(mine))
    ]
