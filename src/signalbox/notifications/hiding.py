"""Whether a message is not to be told at present: silences, and raised messages that hide lesser ones."""

from collections.abc import Sequence

from sqlalchemy import Connection

from signalbox.notifications import marks, silences, store
from signalbox.notifications.routing import Labels, Routing, to_key
from signalbox.notifications.schemas import StoredMessage
from signalbox.notifications.store import Obstacle


def find_reason(
    tx: Connection, labels: Labels, *, obstacles: Sequence[Obstacle], routing: Routing, now: int, id_: str | None = None
) -> str | None:
    """Why it is not told; None where it is. ``id_`` is its own: what it has raised itself does not hide it."""
    return silences.find_reason(obstacles, labels) or _inhibited(tx, labels, routing=routing, now=now, id_=id_)


def find_reason_now(tx: Connection, of: StoredMessage, *, routing: Routing, now: int) -> str | None:
    """The same of a message that was accepted earlier."""
    labels = Labels(of.topic, of.severity, of.app, of.customer, of.metadata)
    obstacles = store.find_obstacles(tx, now=now)
    return find_reason(tx, labels, obstacles=obstacles, routing=routing, now=now, id_=of.id)


def _inhibited(tx: Connection, labels: Labels, *, routing: Routing, now: int, id_: str | None) -> str | None:
    for rule in routing.inhibitions:
        if rule.target.fits(labels) and not rule.source.fits(labels):
            by = marks.find_mark(tx, rule.scope, to_key(labels, rule.equal), now=now)
            if by is not None and by != id_:
                return f"hidden by {by}"
    return None
