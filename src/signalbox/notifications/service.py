"""What people do with notifications besides looking at them: try again, try out, switch on. All of it audited."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection

from signalbox.auth import audit
from signalbox.core.times import to_rfc3339
from signalbox.notifications import channel_states, hiding, store
from signalbox.notifications.channel_settings import TemplateSettings
from signalbox.notifications.channels import Channel
from signalbox.notifications.errors import NothingToRetryError
from signalbox.notifications.intake import (
    choose_routes,
    enqueue_delivery,
    find_obstacle,
    find_repeated,
    reroute,
)
from signalbox.notifications.listing import get_message, show_message
from signalbox.notifications.rendering import to_notice
from signalbox.notifications.routing import Labels, Routing, Way, quiet_until, to_ways
from signalbox.notifications.schemas import (
    MessageDetail,
    PreviewIn,
    PreviewOut,
    Retried,
    RetryIn,
    RouteTestOut,
    StoredMessage,
    WayOut,
)
from signalbox.notifications.store import Obstacle

MAX_RETRIED = 1_000
PREVIEWED: Final = "msg_preview"
"""Id of a message that there is only to be looked at."""


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


Outcome = Literal["sent", "grouped", "held", "suppressed", "disabled"]


@dataclass(frozen=True, slots=True)
class Trial:
    """A message that nobody has sent."""

    labels: Labels
    dedup_key: str | None = None


def test_route(tx: Connection, trial: Trial, *, routing: Routing, now: int) -> RouteTestOut:
    """What would become of a message that came now; nothing is written.

    Raises:
        UnknownTopicError: no route takes it.
    """
    labels = trial.labels
    routes = choose_routes(routing, labels)
    obstacles = store.find_obstacles(tx, now=now)
    hidden = hiding.find_reason(tx, labels, obstacles=obstacles, routing=routing, now=now)
    ways = reroute(to_ways(routes), obstacles, labels.topic, routing)
    told = [_to_way_out(way, *_fate(tx, way, trial, hidden=hidden, obstacles=obstacles, now=now)) for way in ways]
    return RouteTestOut(topic=labels.topic, routes=[route.name for route in routes], ways=told)


def _fate(
    tx: Connection, way: Way, trial: Trial, *, hidden: str | None, obstacles: Sequence[Obstacle], now: int
) -> tuple[Outcome, str | None]:
    """What becomes of it there and why: the reasons against, in the order in which intake looks at them."""
    if hidden is not None:
        return "suppressed", hidden
    disabled = find_obstacle(obstacles, "disabled", way.channel)
    if disabled is not None:
        return "disabled", f"the channel is disabled: {disabled.detail}"
    of = find_repeated(tx, way, topic=trial.labels.topic, dedup_key=trial.dedup_key, now=now)
    return _moment(way, trial, obstacles, now) if of is None else ("suppressed", f"repeats {of}")


def _moment(way: Way, trial: Trial, obstacles: Sequence[Obstacle], now: int) -> tuple[Outcome, str | None]:
    """When it is told, where nothing is against it."""
    held = quiet_until(way.route.quiet, trial.labels.severity, now)
    if held is not None:
        return "held", f"quiet hours until {to_rfc3339(held)}"
    if (group := way.route.group) is not None:
        return "grouped", f"told of together by {', '.join(group.by)}, after {group.wait}"
    paused = find_obstacle(obstacles, "paused", way.channel)
    if paused is not None:
        return "held", f"the provider asked to be left alone until {to_rfc3339(paused.ends_at)}"
    return "sent", None


def _to_way_out(way: Way, outcome: Outcome, reason: str | None) -> WayOut:
    return WayOut(channel=way.channel, route=way.route.name, outcome=outcome, reason=reason)


def preview(of: Channel, template: TemplateSettings, wanted: PreviewIn, *, topic: str, now: int) -> PreviewOut:
    """A message as a channel's templates make it; nothing is sent or kept.

    Raises:
        RenderError: a template failed on it.
    """
    stored = StoredMessage(
        0,
        PREVIEWED,
        topic,
        wanted.severity,
        "test",
        wanted.app,
        wanted.customer,
        wanted.description,
        wanted.metadata,
        wanted.dedup_key,
        [],
        now,
    )
    notice = to_notice(stored, [], template)
    longest, size = of.max_length, len(notice.text)
    problem = None if longest is None or size <= longest else f"the text has {size} characters, it takes {longest}"
    return PreviewOut(channel=of.name, title=notice.title, text=notice.text, html=notice.html, problem=problem)


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
