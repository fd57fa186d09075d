"""Accepting a message: it, its deliveries and their jobs in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from signalbox.core.ids import new_sortable_id
from signalbox.core.times import DAY, parse_span
from signalbox.infra.db import after_commit
from signalbox.infra.jobs import ABOUT, DEAD, enqueue
from signalbox.notifications import marks, silences, store
from signalbox.notifications.errors import InvalidMessageError, UnknownTopicError
from signalbox.notifications.handover import Handover
from signalbox.notifications.job_names import deliver_kind
from signalbox.notifications.routing import (
    Labels,
    Route,
    Routing,
    Way,
    find_routes,
    quiet_until,
    to_key,
    to_ways,
)
from signalbox.notifications.schemas import MAX_TOPIC, NewMessage, State, StoredMessage
from signalbox.notifications.store import Due, Obstacle

FOREVER = 3_650 * DAY
"""Age of a job that makes a delivery: the delivery itself knows when it is too old."""

FAILURES = frozenset({"channel.disabled", "notification.dead", DEAD})
"""Topics of messages that tell of failures: where one of these fails in turn, nothing new is told."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that was accepted."""

    id: str
    topic: str
    channels: list[str]
    """Where it goes; those that it is kept from are not among them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a message on one channel."""

    way: Way
    state: State
    due_at: int
    group_key: str | None = None
    reason: str | None = None


def fold_topic(topic: str) -> str:
    """A topic as it is compared: trimmed and in lower case.

    Raises:
        InvalidMessageError: it is empty, too long or holds what cannot be printed.
    """
    folded = topic.strip().lower()
    if not folded or len(folded) > MAX_TOPIC or not folded.isprintable():
        msg = f"a topic has 1 to {MAX_TOPIC} printable characters"
        raise InvalidMessageError(msg)
    return folded


def to_labels(new: NewMessage) -> Labels:
    """What routes can tell the message by."""
    return Labels(new.topic, new.severity, new.app, new.customer, new.metadata)


def choose_routes(routing: Routing, labels: Labels) -> list[Route]:
    """The routes that take a message.

    Raises:
        UnknownTopicError: none does.
    """
    found = find_routes(routing, labels)
    if not found:
        known = ", ".join(routing.topics) or "none"
        msg = f"no route takes the topic {labels.topic!r}; known topics are: {known}"
        raise UnknownTopicError(msg)
    return found


def new_message_id(now: int) -> str:
    """An id that sorts by time."""
    return f"msg_{new_sortable_id(now)}"


def accept(
    tx: Connection,
    new: NewMessage,
    *,
    routing: Routing,
    now: int,
    id_: str | None = None,
    handover: Handover | None = None,
) -> Accepted:
    """Take a message in: with ``tx`` it is on its way. ``id_`` is a new id that was promised already.

    What is to be sent at once is put into ``handover`` when it is on disk.

    Raises:
        UnknownTopicError: no route takes it. Nothing was written.
        InvalidMessageError: its description is empty, or a text holds NUL. Nothing was written.
    """
    _check(new)
    labels = to_labels(new)
    routes = choose_routes(routing, labels)
    obstacles = store.find_obstacles(tx, now=now)
    id_ = id_ or new_message_id(now)
    hidden = _inhibit(tx, labels, routing=routing, id_=id_, now=now) or silences.find_reason(obstacles, labels)
    ways = reroute(to_ways(routes), obstacles, new.topic, routing)
    plans = [_plan(tx, way, new, hidden=hidden, obstacles=obstacles, id_=id_, now=now) for way in ways]
    names = [route.name for route in routes]
    number = store.insert_message(tx, new, id_=id_, routes=names, now=now)
    made = [(plan, _write(tx, plan, of=number, topic=new.topic, now=now)) for plan in plans]
    if handover is not None:
        of = _to_stored(new, number, id_, names, now)
        _hand_over(tx, handover, [_to_due(plan, each, of, obstacles) for plan, each in made if _is_at_once(plan, now)])
    return Accepted(id_, new.topic, [plan.way.channel for plan in plans if plan.state == "pending"])


def _check(new: NewMessage) -> None:
    if not new.description.strip():
        msg = "the description is empty; say what is to be read"
        raise InvalidMessageError(msg)
    texts = (new.topic, new.description, new.app, new.customer, new.dedup_key)
    if any("\0" in text for text in texts if text is not None):
        msg = "a text holds the character NUL, which databases refuse"
        raise InvalidMessageError(msg)


def _inhibit(tx: Connection, labels: Labels, *, routing: Routing, id_: str, now: int) -> str | None:
    """Why a raised message hides this one; what this one raises or resolves is written down."""
    reason = None
    for rule in routing.inhibitions:
        key = to_key(labels, rule.equal)
        if rule.source.fits(labels):
            marks.raise_mark(tx, rule.scope, key, until=now + rule.window, message_id=id_)
        elif rule.resolved_by is not None and rule.resolved_by.fullmatch(labels.topic):
            marks.clear_mark(tx, rule.scope, key)
        elif reason is None and rule.target.fits(labels):
            by = marks.find_mark(tx, rule.scope, key, now=now)
            reason = None if by is None else f"hidden by {by}"
    return reason


def reroute(ways: list[Way], obstacles: Sequence[Obstacle], topic: str, routing: Routing) -> list[Way]:
    """Who tells of a failure must not itself have failed: a message about one goes round disabled channels.

    Where its routes lead to none that is left, the first channel of the settings that is not disabled takes it.
    """
    disabled = {each.name for each in obstacles if each.kind == "disabled"}
    if topic not in FAILURES or not disabled:
        return ways
    left = [way for way in ways if way.channel not in disabled]
    others = [Way(channel, ways[0].route) for channel in routing.channels if channel not in disabled]
    return left or others[:1] or ways


def _plan(
    tx: Connection, way: Way, new: NewMessage, *, hidden: str | None, obstacles: Sequence[Obstacle], id_: str, now: int
) -> Plan:
    """The reasons against, the strongest first; then when it is told."""
    if hidden is not None:
        return Plan(way, "suppressed", now, reason=hidden)
    disabled = find_obstacle(obstacles, "disabled", way.channel)
    if disabled is not None:
        return Plan(way, "dead", now, reason=f"the channel is disabled: {disabled.detail}")
    if (of := _repeats(tx, way, new, id_=id_, now=now)) is not None:
        return Plan(way, "suppressed", now, reason=f"repeats {of}")
    due_at = quiet_until(way.route.quiet, new.severity, now) or now
    if way.route.group is None:
        return Plan(way, "pending", due_at, reason="waits for the end of quiet hours" if due_at > now else None)
    group = way.route.group
    key = to_key(to_labels(new), group.by, way.channel, way.route.name)
    wait, interval = parse_span(group.wait), parse_span(group.interval)
    moment = marks.group_moment(tx, "group", key, wait=wait, interval=interval, message_id=id_, now=now)
    return Plan(way, "pending", max(due_at, moment), key, reason="waits for others of its group")


def find_obstacle(obstacles: Sequence[Obstacle], kind: str, channel: str) -> Obstacle | None:
    """The obstacle of a kind, ``disabled`` or ``paused``, that stands before a channel."""
    return next((each for each in obstacles if each.kind == kind and each.name == channel), None)


def find_repeated(tx: Connection, way: Way, *, topic: str, dedup_key: str | None, now: int) -> str | None:
    """The message with the same ``dedup_key`` that was told on this channel not long ago; nothing is written."""
    if dedup_key is None:
        return None
    return marks.find_mark(tx, "repeat", _repeat_key(way, topic, dedup_key), now=now)


def _repeat_key(way: Way, topic: str, dedup_key: str) -> str:
    return to_key(Labels(topic), ["topic"], way.channel, dedup_key)


def _repeats(tx: Connection, way: Way, new: NewMessage, *, id_: str, now: int) -> str | None:
    """As ``find_repeated``; where there is none, this one is what later ones repeat."""
    if new.dedup_key is None:
        return None
    key = _repeat_key(way, new.topic, new.dedup_key)
    return marks.take_mark(tx, "repeat", key, until=now + way.route.repeat_window, message_id=id_, now=now)


def _write(tx: Connection, plan: Plan, *, of: int, topic: str, now: int) -> int:
    number = store.insert_delivery(
        tx,
        of=of,
        channel=plan.way.channel,
        route=plan.way.route.name,
        state=plan.state,
        due_at=plan.due_at,
        group_key=plan.group_key,
        reason=plan.reason,
        now=now,
    )
    if plan.state == "pending":
        enqueue_delivery(tx, number, plan.way.channel, topic=topic, due_at=plan.due_at, now=now)
    return number


def _is_at_once(plan: Plan, now: int) -> bool:
    return plan.state == "pending" and plan.due_at <= now and plan.group_key is None


def _to_due(plan: Plan, number: int, of: StoredMessage, obstacles: Sequence[Obstacle]) -> Due:
    channel = plan.way.channel
    paused = find_obstacle(obstacles, "paused", channel)
    until = None if paused is None else paused.ends_at
    return Due(number, channel, "pending", 0, plan.due_at, of.created_at, None, of, None, until)


def _to_stored(new: NewMessage, number: int, id_: str, routes: list[str], now: int) -> StoredMessage:
    return StoredMessage(
        number,
        id_,
        new.topic,
        new.severity,
        new.source,
        new.app,
        new.customer,
        new.description,
        new.metadata,
        new.dedup_key,
        routes,
        now,
    )


def _hand_over(tx: Connection, handover: Handover, due: Sequence[Due]) -> None:
    for each in due:
        after_commit(tx, partial(handover.put, each))


def enqueue_delivery(tx: Connection, number: int, channel: str, *, topic: str, due_at: int, now: int) -> None:
    """Have a delivery of a message with this topic made at ``due_at``."""
    payload = {"delivery": number, ABOUT: DEAD} if topic in FAILURES else {"delivery": number}
    enqueue(tx, deliver_kind(channel), payload, now=now, due_at=due_at, key=str(number), max_age=FOREVER)
