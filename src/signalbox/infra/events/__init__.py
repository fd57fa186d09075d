"""The seam to events: what one feature has to tell the others goes through an outbox.

``publish`` writes in the caller's transaction, so an event is there exactly when the change that it tells of is.
"""

from signalbox.infra.events.outbox import (
    InvalidTopicError,
    delete_events,
    find_event,
    find_events,
    has_new,
    publish,
    take_new,
)
from signalbox.infra.events.subscriber import Subscriber
from signalbox.infra.events.tables import Event, Severity, StoredEvent

__all__ = [
    "Event",
    "InvalidTopicError",
    "Severity",
    "StoredEvent",
    "Subscriber",
    "delete_events",
    "find_event",
    "find_events",
    "has_new",
    "publish",
    "take_new",
]
