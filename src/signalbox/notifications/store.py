"""Queries of messages and deliveries, each a plain function of ``tx``. Statements of the hot path are built once."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    String,
    bindparam,
    delete,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    union_all,
    update,
)

from signalbox.infra.db.prepared import Prepared
from signalbox.notifications.models import attempt, channel_state, delivery, message, silence
from signalbox.notifications.schemas import Attempt, NewMessage, State, StoredMessage

_m, _d, _s = message.c, delivery.c, channel_state.c

MESSAGE_COLUMNS = [_m[name] for name in StoredMessage._fields]
PENDING = _d.state == literal_column("'pending'")
"""Written out, not bound: a planner uses a partial index only where it can see its condition in the statement."""
OPEN = _d.state != literal_column("'sent'")
"""Always true of other states; SQLite wants to read it where it is to use the index."""


class Due(NamedTuple):
    """A delivery that a job is about to make, with what is known of its channel."""

    number: int
    channel: str
    state: State
    attempts: int
    due_at: int
    since: int
    group_key: str | None
    message: StoredMessage
    disabled_reason: str | None
    paused_until: int | None


class Obstacle(NamedTuple):
    """Something that may keep a message from a channel: a silence, or that the channel is disabled or paused."""

    kind: str
    """``silence``, ``disabled`` or ``paused``."""
    name: str
    detail: str
    """The matcher of a silence as JSON; why the channel is disabled."""
    author: str | None
    reason: str | None
    starts_at: int
    ends_at: int


# -- accept -----------------------------------------------------------------------------------------------------------

_q = silence.c
_NEVER = 2**63 - 1
_OBSTACLES = union_all(
    select(literal("silence"), _q.id.cast(String), _q.matcher, _q.author, _q.reason, _q.starts_at, _q.ends_at).where(
        _q.ends_at > bindparam("now")
    ),
    select(
        literal("disabled"),
        _s.name,
        func.coalesce(_s.disabled_reason, literal("")),
        null().cast(String),
        null().cast(String),
        _s.disabled_at,
        literal(_NEVER, BigInteger),
    ).where(_s.disabled_at.is_not(None)),
    select(
        literal("paused"),
        _s.name,
        literal(""),
        null().cast(String),
        null().cast(String),
        literal(0, BigInteger),
        _s.paused_until,
    ).where(_s.paused_until > bindparam("now")),
)
_FIND_OBSTACLES = Prepared(_OBSTACLES)
_KEPT = "signalbox_notifications_obstacles"
_encode = json.JSONEncoder(allow_nan=False).encode
_MESSAGE = [column.name for column in _m if column is not _m.number]
_INSERT_MESSAGE = Prepared(insert(message).values({name: bindparam(name) for name in _MESSAGE}).returning(_m.number))
_DELIVERY = (
    "message",
    "channel",
    "route",
    "state",
    "attempts",
    "due_at",
    "since",
    "group_key",
    "reason",
    "ended_at",
)
_INSERT_DELIVERY = Prepared(insert(delivery).values({name: bindparam(name) for name in _DELIVERY}).returning(_d.number))


def find_obstacles(tx: Connection, *, now: int) -> list[Obstacle]:
    """The silences in force, and the channels that are disabled or paused.

    They are read once in a transaction: it may be that of a group of hundreds of messages.
    """
    transaction, kept = tx.get_transaction(), tx.info.get(_KEPT)
    if kept is None or kept[0] is not transaction or transaction is None:
        found = [Obstacle(*row) for row in _FIND_OBSTACLES.run(tx, {"now": now})]
        kept = tx.info[_KEPT] = (tx.get_transaction(), found)
    return [each for each in kept[1] if each.starts_at <= now < each.ends_at]


def forget_obstacles(tx: Connection) -> None:
    """To be called by whoever changes silences, or what is known of a channel."""
    tx.info.pop(_KEPT, None)


def insert_message(tx: Connection, new: NewMessage, *, id_: str, routes: Sequence[str], now: int) -> int:
    """Write a message; its number."""
    row = {
        "id": id_,
        "topic": new.topic,
        "severity": new.severity,
        "source": new.source,
        "app": new.app,
        "customer": new.customer,
        "description": new.description,
        "metadata": _encode(dict(new.metadata)) if new.metadata else "{}",
        "dedup_key": new.dedup_key,
        "routes": _encode(list(routes)),
        "created_at": now,
    }
    ((number,),) = _INSERT_MESSAGE.run(tx, row)
    made: int = number
    return made


def insert_delivery(
    tx: Connection,
    *,
    of: int,
    channel: str,
    route: str,
    state: State,
    due_at: int,
    now: int,
    group_key: str | None = None,
    reason: str | None = None,
) -> int:
    """Write a delivery of the message ``of``; its number."""
    row = {
        "message": of,
        "channel": channel,
        "route": route,
        "state": state,
        "attempts": 0,
        "due_at": due_at,
        "since": now,
        "group_key": group_key,
        "reason": reason,
        "ended_at": None if state == "pending" else now,
    }
    ((number,),) = _INSERT_DELIVERY.run(tx, row)
    made: int = number
    return made


def find_channels(tx: Connection, id_: str) -> list[str]:
    """The channels that a message goes or went to."""
    kept = _d.state != literal_column("'suppressed'")
    wanted = select(_d.channel).join(message).where(_m.id == id_, kept).order_by(_d.number)
    return list(tx.execute(wanted).scalars())


# -- deliver ----------------------------------------------------------------------------------------------------------

_DUE = Prepared(
    select(
        _d.number,
        _d.channel,
        _d.state,
        _d.attempts,
        _d.due_at,
        _d.since,
        _d.group_key,
        _s.disabled_reason,
        _s.paused_until,
        *MESSAGE_COLUMNS,
    )
    .select_from(delivery.join(message).outerjoin(channel_state, _s.name == _d.channel))
    .where(_d.number == bindparam("wanted"))
)
_UPDATE = update(delivery).where(_d.number == bindparam("wanted"))
_SENT = Prepared(
    _UPDATE.values(
        state=literal_column("'sent'"), reason=null(), provider_id=bindparam("provider"), ended_at=bindparam("now")
    )
)
_ATTEMPT = ("delivery", "channel", *Attempt._fields)
_INSERT_ATTEMPT = Prepared(insert(attempt).values({name: bindparam(name) for name in _ATTEMPT}))


def find_due(tx: Connection, number: int) -> Due | None:
    """A delivery with its message; None where it was swept."""
    rows = _DUE.run(tx, {"wanted": number})
    if not rows:
        return None
    number_, channel, state, attempts, due_at, since, group_key, disabled, paused, *of = rows[0]
    return Due(number_, channel, state, attempts, due_at, since, group_key, to_message(of), disabled, paused)


def to_message(row: Sequence[Any]) -> StoredMessage:
    """A message of a row of ``MESSAGE_COLUMNS``."""
    made = StoredMessage._make(row)
    return made._replace(metadata=json.loads(str(made.metadata)), routes=json.loads(str(made.routes)))


def insert_attempt(tx: Connection, number: int, channel: str, made: Attempt) -> None:
    """Write down that something was sent or tried."""
    _INSERT_ATTEMPT.run(tx, {"delivery": number, "channel": channel, **made._asdict()})


def set_sent(tx: Connection, number: int, *, provider_id: str | None, now: int) -> None:
    """The provider has accepted a delivery, and those that it carries."""
    _SENT.run(tx, {"wanted": number, "provider": provider_id, "now": now})


def set_carried(tx: Connection, number: int, *, state: State, reason: str, now: int) -> None:
    """What became of the deliveries that one carries."""
    carried = (_d.carried_by == number) & (_d.state == literal_column("'collapsed'"))
    tx.execute(update(delivery).where(carried).values(state=state, reason=reason, ended_at=now))


def set_waiting(tx: Connection, number: int, *, due_at: int, attempts: int, reason: str) -> None:
    """A delivery is tried again later."""
    values = {"state": "pending", "due_at": due_at, "attempts": attempts, "reason": reason}
    tx.execute(update(delivery).where(_d.number == number).values(values))


def set_suppressed(tx: Connection, number: int, *, reason: str, now: int) -> None:
    """A delivery is not to be told, as was found out when its moment had come."""
    values = {"state": "suppressed", "reason": reason, "ended_at": now}
    tx.execute(update(delivery).where(_d.number == number).values(values))


def set_dead(tx: Connection, number: int, *, attempts: int, reason: str, now: int) -> None:
    """A delivery is given up."""
    values = {"state": "dead", "attempts": attempts, "reason": reason, "ended_at": now}
    tx.execute(update(delivery).where(_d.number == number).values(values))


def end_dead(tx: Connection, number: int, *, reason: str, now: int) -> None:
    """A delivery is given up with all that it carries, whatever its attempts were."""
    values = {"state": "dead", "reason": reason, "ended_at": now}
    tx.execute(update(delivery).where(_d.number == number).values(values))
    set_carried(tx, number, state="dead", reason=reason, now=now)


def end_undelivered(tx: Connection, number: int, *, reason: str, now: int) -> bool:
    """Give a delivery up that has not ended, with all that it carries; False where it has, or was swept."""
    open_ = _d.state.in_(["pending", "sending"])
    found = tx.execute(select(_d.number).where(_d.number == number, open_).with_for_update()).first()
    if found is not None:
        end_dead(tx, number, reason=reason, now=now)
    return found is not None


# -- retry and sweep --------------------------------------------------------------------------------------------------


def revive(
    tx: Connection, *, of: int | None, channel: str | None, topic: str | None, limit: int, now: int
) -> list[tuple[int, str, str]]:
    """Have dead deliveries wait again, oldest first; number, channel and topic of each."""
    wanted = select(_d.number).where(OPEN, _d.state == literal_column("'dead'")).order_by(_d.number).limit(limit)
    if of is not None:
        wanted = wanted.where(_d.message == of)
    if channel is not None:
        wanted = wanted.where(_d.channel == channel)
    if topic is not None:
        wanted = wanted.where(_d.message.in_(select(_m.number).where(_m.topic == topic)))
    values = {
        "state": "pending",
        "attempts": 0,
        "due_at": now,
        "since": now,
        "group_key": None,
        "carried_by": None,
        "reason": None,
        "ended_at": None,
    }
    topic_of = select(_m.topic).where(_m.number == _d.message).scalar_subquery()
    changed = update(delivery).where(_d.number.in_(wanted)).values(values)
    rows = tx.execute(changed.returning(_d.number, _d.channel, topic_of))
    return sorted((row[0], row[1], row[2]) for row in rows)


def delete_messages(tx: Connection, *, older_than: int, limit: int) -> int:
    """Delete at most ``limit`` messages from before ``older_than`` of which nothing waits; how many it were."""
    waits = select(_d.number).where(_d.message == _m.number, _d.state.in_(["pending", "sending", "collapsed"]))
    aged = select(_m.number).where(_m.created_at < older_than, ~waits.exists()).order_by(_m.created_at).limit(limit)
    numbers = list(tx.execute(aged).scalars())
    if not numbers:
        return 0
    tx.execute(delete(attempt).where(attempt.c.delivery.in_(select(_d.number).where(_d.message.in_(numbers)))))
    tx.execute(delete(delivery).where(_d.message.in_(numbers)))
    return tx.execute(delete(message).where(_m.number.in_(numbers))).rowcount
