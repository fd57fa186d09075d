"""Events of the hub become messages; those of jobs that ended undone also end the deliveries that these were for."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from signalbox.infra.events import StoredEvent, Subscriber
from signalbox.infra.jobs import CANCELLED, DEAD, is_live
from signalbox.notifications import store
from signalbox.notifications.intake import accept
from signalbox.notifications.job_names import PREFIX
from signalbox.notifications.routing import Labels, Routing, find_routes
from signalbox.notifications.schemas import NewMessage

NAME = "notifications"
FOLLOWER = "notifications.deliveries"

_TEXTS = ("description", "message", "reason", "error")
"""Where events say in words what happened."""


def build_subscriber(routing: Callable[[], Routing]) -> Subscriber:
    """Who makes messages of events; ``routing`` is asked at each."""

    def handle(tx: Connection, event: StoredEvent, now: int) -> None:
        accept_event(tx, event, routing=routing(), now=now)

    return Subscriber(NAME, ["*"], handle)


def accept_event(tx: Connection, event: StoredEvent, *, routing: Routing, now: int) -> str | None:
    """Make a message of an event where a route takes it; its id. ``GET /api/events`` shows the others all the same.

    None of what somebody cancelled: that one knows it, and whoever empties a queue would fill it by this.
    """
    if event.topic == CANCELLED:
        return None
    new = to_message(event)
    if not find_routes(routing, Labels(new.topic, new.severity, new.app, new.customer, new.metadata)):
        return None
    return accept(tx, new, routing=routing, now=now).id


def build_follower() -> Subscriber:
    """Who ends deliveries whose jobs ended without them."""
    return Subscriber(FOLLOWER, [DEAD, CANCELLED], end_delivery)


def end_delivery(tx: Connection, event: StoredEvent, now: int) -> None:
    """Give a delivery up whose job died or was cancelled; people can try it again, like all that is dead."""
    kind, key = event.data["kind"], event.data["key"]
    if kind.startswith(PREFIX) and key and not is_live(tx, kind, key):
        store.end_undelivered(tx, int(key), reason=str(event.data["error"]), now=now)


def to_message(event: StoredEvent) -> NewMessage:
    """An event in words."""
    data = event.data
    return NewMessage(
        event.topic,
        describe(event.topic, data),
        f"event:{event.id}",
        severity=event.severity,
        app=_text(data.get("app")),
        customer=_text(data.get("customer")),
        metadata={name: value for name, value in data.items() if value is not None},
    )


def describe(topic: str, data: Mapping[str, Any]) -> str:
    """What happened in a line: what the event says of it in words, else its topic."""
    words = next((text for name in _TEXTS if (text := _text(data.get(name)))), None)
    what = topic.replace("_", " ").replace(".", ": ")
    return what if words is None else f"{what}: {words}"


def _text(value: Any) -> str | None:
    return value.replace("\0", "\ufffd") if isinstance(value, str) and value.strip() else None
