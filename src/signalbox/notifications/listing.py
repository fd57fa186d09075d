"""Where messages are: queries for people, in plain words of the API."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, literal_column, select

from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import to_datetime
from signalbox.notifications.errors import MessageNotFoundError
from signalbox.notifications.models import attempt, channel_state, delivery, message
from signalbox.notifications.schemas import (
    Attempt,
    AttemptOut,
    DeliveryDetail,
    DeliveryOut,
    MessageDetail,
    MessageOut,
    State,
    StoredDelivery,
    StoredMessage,
)
from signalbox.notifications.store import MESSAGE_COLUMNS, OPEN, PENDING, to_message

_m, _d, _a = message.c, delivery.c, attempt.c
_DELIVERY_COLUMNS = [_d[name] for name in StoredDelivery._fields]
MAX_TRIES = 100
"""Attempts of a delivery that are shown, the newest."""


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages are wanted; None stands for all. ``since`` is inclusive, ``until`` is not; microseconds UTC."""

    topic: str | None = None
    state: State | None = None
    channel: str | None = None
    severity: str | None = None
    app: str | None = None
    customer: str | None = None
    since: int | None = None
    until: int | None = None


def list_messages(tx: Connection, wanted: MessageFilter, *, limit: int, cursor: str | None = None) -> Page[MessageOut]:
    """One page of messages with their deliveries, newest first.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    query = select(*MESSAGE_COLUMNS).order_by(_m.number.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(_m.number < decode_cursor(cursor))
    rows = [to_message(row) for row in tx.execute(_filtered(query, wanted))]
    page = to_page(rows, limit, lambda row: row.number)
    found = _deliveries(tx, [each.number for each in page.items])
    return Page([_to_message_out(each, found[each.number]) for each in page.items], page.next_cursor)


def show_message(tx: Connection, id_: str, *, app: str | None = None) -> MessageDetail:
    """One message with each attempt of each delivery; with ``app`` only if it came from that app.

    Raises:
        MessageNotFoundError: there is none with this id.
    """
    of = get_message(tx, id_)
    if app is not None and of.app != app:
        raise _not_found(id_)
    deliveries = _deliveries(tx, [of.number])[of.number]
    details = [
        DeliveryDetail(**_to_delivery_out(each, carrier).model_dump(), tries=_tries(tx, each.carried_by or each.number))
        for each, carrier in deliveries
    ]
    return MessageDetail(**{**_to_message_out(of, deliveries).model_dump(), "deliveries": details})


def get_message(tx: Connection, id_: str) -> StoredMessage:
    """One message.

    Raises:
        MessageNotFoundError: there is none with this id.
    """
    row = tx.execute(select(*MESSAGE_COLUMNS).where(_m.id == id_)).first()
    if row is None:
        raise _not_found(id_)
    return to_message(row)


def _not_found(id_: str) -> MessageNotFoundError:
    return MessageNotFoundError(f"there is no notification {id_!r}")


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """What the database knows of a channel. Times are microseconds UTC."""

    disabled_reason: str | None
    paused_until: int | None
    last_success: int | None
    backlog: int
    dead: int


def channel_figures(tx: Connection, names: Sequence[str]) -> Mapping[str, ChannelFigures]:
    """How channels do."""
    states = {row.name: row for row in tx.execute(select(channel_state).where(channel_state.c.name.in_(names)))}
    count = select(_d.channel, func.count()).group_by(_d.channel)
    backlog = dict(tuple(row) for row in tx.execute(count.where(PENDING)))
    dead = dict(tuple(row) for row in tx.execute(count.where(OPEN, _d.state == literal_column("'dead'"))))
    figures = {}
    for name in names:
        state = states.get(name)
        figures[name] = ChannelFigures(
            None if state is None or state.disabled_at is None else state.disabled_reason or "",
            None if state is None else state.paused_until,
            tx.execute(select(func.max(_a.at)).where(_a.channel == name, _a.outcome == "sent")).scalar_one(),
            backlog.get(name, 0),
            dead.get(name, 0),
        )
    return figures


def _filtered(query: Select[Any], wanted: MessageFilter) -> Select[Any]:
    for column, value in (
        (_m.topic, wanted.topic),
        (_m.severity, wanted.severity),
        (_m.app, wanted.app),
        (_m.customer, wanted.customer),
    ):
        query = query if value is None else query.where(column == value)
    if wanted.since is not None:
        query = query.where(_m.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(_m.created_at < wanted.until)
    return _with_deliveries(query, wanted.state, wanted.channel)


def _with_deliveries(query: Select[Any], state: State | None, channel: str | None) -> Select[Any]:
    if state is None and channel is None:
        return query
    with_such = select(_d.message)
    if channel is not None:
        with_such = with_such.where(_d.channel == channel)
    if state is not None:
        with_such = with_such.where(_d.state == literal_column(f"'{state}'"))
    if state in {None, "sent"}:  # most are: one after another is looked at until the page is full
        return query.where(with_such.where(_d.message == _m.number).exists())
    return query.where(_m.number.in_(with_such.where(OPEN)))


_Pair = tuple[StoredDelivery, str | None]
"""A delivery, and the id of the message that tells of it within itself."""


def _deliveries(tx: Connection, numbers: Iterable[int]) -> Mapping[int, list[_Pair]]:
    carrier, carrying = delivery.alias("carrier"), message.alias("carrying")
    joined = delivery.outerjoin(carrier, carrier.c.number == _d.carried_by)
    joined = joined.outerjoin(carrying, carrying.c.number == carrier.c.message)
    query = select(*_DELIVERY_COLUMNS, carrying.c.id).select_from(joined).where(_d.message.in_(list(numbers)))
    found: dict[int, list[_Pair]] = defaultdict(list)
    for *row, carrier_id in tx.execute(query.order_by(_d.number)):
        each = StoredDelivery._make(row)
        found[each.message].append((each, carrier_id))
    return found


def _tries(tx: Connection, number: int) -> list[AttemptOut]:
    columns = [_a[name] for name in Attempt._fields]
    newest = select(*columns).where(_a.delivery == number).order_by(_a.id.desc()).limit(MAX_TRIES)
    made = [Attempt._make(row) for row in tx.execute(newest)]
    return [
        AttemptOut(
            at=to_datetime(each.at),
            seconds=each.micros / 1_000_000,
            outcome=each.outcome,
            status=each.status,
            excerpt=each.excerpt,
            error=each.error,
        )
        for each in reversed(made)
    ]


def _to_delivery_out(of: StoredDelivery, carrier: str | None) -> DeliveryOut:
    return DeliveryOut(
        channel=of.channel,
        route=of.route,
        state=of.state,
        attempts=of.attempts,
        due_at=to_datetime(of.due_at) if of.state == "pending" else None,
        reason=of.reason,
        provider_id=of.provider_id,
        carried_by=carrier,
        ended_at=None if of.ended_at is None else to_datetime(of.ended_at),
    )


def _to_message_out(of: StoredMessage, deliveries: Sequence[_Pair]) -> MessageOut:
    values = {name: value for name, value in of._asdict().items() if name not in {"number", "created_at"}}
    return MessageOut(
        **{**values, "metadata": dict(of.metadata)},
        created_at=to_datetime(of.created_at),
        deliveries=[_to_delivery_out(each, carrier) for each, carrier in deliveries],
    )
