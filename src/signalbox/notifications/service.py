"""What people do with notifications besides looking at them: try again, try out, switch on. All of it audited."""

from dataclasses import dataclass

from sqlalchemy import Connection

from signalbox.auth import audit
from signalbox.core.times import to_rfc3339
from signalbox.notifications import channel_states, marks, silences, store
from signalbox.notifications.errors import NothingToRetryError
from signalbox.notifications.intake import choose_routes, enqueue_delivery
from signalbox.notifications.listing import get_message, show_message
from signalbox.notifications.routing import Labels, Routing, Way, quiet_until, to_key, to_ways
from signalbox.notifications.schemas import MessageDetail, Retried, RetryIn, RouteTestOut, WayOut
from signalbox.notifications.store import Obstacle

MAX_RETRIED = 1_000


@dataclass(frozen=True, slots=True)
class Hand:
    """Who does something, when, and by which request."""

    actor: str
    at: int
    request_id: str | None = None


def retry_message(tx: Connection, id_: str, *, channel: str | None, hand: Hand) -> MessageDetail:
    """Try the dead deliveries of a message again, or the one to a channel; attempts and age begin anew.

    Raises:
        MessageNotFoundError: there is none with this id.
        NothingToRetryError: none is dead.
    """
    of = get_message(tx, id_)
    revived = store.revive(tx, of=of.number, channel=channel, topic=None, limit=MAX_RETRIED, now=hand.at)
    if not revived:
        msg = f"no delivery of {id_} is dead" + (f" on {channel}" if channel else "")
        raise NothingToRetryError(msg)
    for number, name, topic in revived:
        enqueue_delivery(tx, number, name, topic=topic, due_at=hand.at, now=hand.at)
    _audit(tx, "notification.retry", f"notification:{id_}", {"channels": [name for _, name, _ in revived]}, hand)
    return show_message(tx, id_)


def retry_many(tx: Connection, wanted: RetryIn, *, hand: Hand) -> Retried:
    """Try dead deliveries again, the oldest first, at most ``MAX_RETRIED``."""
    revived = store.revive(tx, of=None, channel=wanted.channel, topic=wanted.topic, limit=MAX_RETRIED, now=hand.at)
    for number, name, topic in revived:
        enqueue_delivery(tx, number, name, topic=topic, due_at=hand.at, now=hand.at)
    _audit(tx, "notification.retry", "notification:*", {**wanted.model_dump(), "retried": len(revived)}, hand)
    return Retried(retried=len(revived))


def enable_channel(tx: Connection, name: str, *, hand: Hand) -> None:
    """Send through a channel again that was disabled or paused."""
    if channel_states.enable(tx, name):
        _audit(tx, "channel.enable", f"channel:{name}", {"state": "ok"}, hand)


def note_test(tx: Connection, name: str, *, id_: str, sent: bool, hand: Hand) -> None:
    """Somebody sent a test message through a channel."""
    _audit(tx, "channel.test", f"channel:{name}", {"id": id_, "sent": sent}, hand)


def test_route(tx: Connection, labels: Labels, *, routing: Routing, now: int) -> RouteTestOut:
    """What would become of a message that came now; nothing is written.

    Raises:
        UnknownTopicError: no route takes it.
    """
    routes = choose_routes(routing, labels)
    obstacles = store.find_obstacles(tx, now=now)
    hidden = silences.find_reason(obstacles, labels) or _hidden(tx, labels, routing, now)
    ways = [_to_way_out(way, labels, hidden, obstacles, now) for way in to_ways(routes)]
    return RouteTestOut(topic=labels.topic, routes=[route.name for route in routes], ways=ways)


def _hidden(tx: Connection, labels: Labels, routing: Routing, now: int) -> str | None:
    for rule in routing.inhibitions:
        if rule.target.fits(labels) and not rule.source.fits(labels):
            by = marks.find_mark(tx, rule.scope, to_key(labels, rule.equal), now=now)
            if by is not None:
                return f"hidden by {by}"
    return None


def _to_way_out(way: Way, labels: Labels, hidden: str | None, obstacles: list[Obstacle], now: int) -> WayOut:
    disabled = next((each for each in obstacles if each.kind == "disabled" and each.name == way.channel), None)
    held = quiet_until(way.route.quiet, labels.severity, now)
    told = WayOut(channel=way.channel, route=way.route.name, outcome="sent", reason=None)
    if hidden is not None:
        return told.model_copy(update={"outcome": "suppressed", "reason": hidden})
    if disabled is not None:
        reason = f"the channel is disabled: {disabled.detail}"
        return told.model_copy(update={"outcome": "suppressed", "reason": reason})
    if held is not None:
        return told.model_copy(update={"outcome": "held", "reason": f"quiet hours until {to_rfc3339(held)}"})
    if (group := way.route.group) is not None:
        reason = f"told of together by {', '.join(group.by)}, after {group.wait}"
        return told.model_copy(update={"outcome": "grouped", "reason": reason})
    return told


def _audit(tx: Connection, action: str, target: str, after: dict[str, object], hand: Hand) -> None:
    audit.record(
        tx,
        actor=hand.actor,
        action=action,
        target=target,
        before=None,
        after=after,
        at=hand.at,
        request_id=hand.request_id,
    )
