"""A notice as a CloudEvents 1.0 JSON event, which machines read.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

import json
from typing import Any

from signalbox.core.times import to_rfc3339
from signalbox.notifications.channels import Notice

CONTENT_TYPE = "application/cloudevents+json"
TYPE_PREFIX = "signalbox."


def to_event(notice: Notice, *, source: str) -> bytes:
    """The event: its ``id`` is the notice's, which together with ``source`` tells repeats; ``type`` holds the topic."""
    event = {
        "specversion": "1.0",
        "id": notice.id,
        "source": source,
        "type": event_type(notice),
        "time": to_rfc3339(notice.created_at),
        "datacontenttype": "application/json",
        "data": _data(notice),
    }
    # ASCII: halves of surrogate pairs, which JSON may hold, are then passed on as they came.
    return json.dumps(event, separators=(",", ":")).encode()


def event_type(notice: Notice) -> str:
    """``signalbox.`` and the topic."""
    return TYPE_PREFIX + notice.topic


def _data(notice: Notice) -> dict[str, Any]:
    data: dict[str, Any] = {
        "topic": notice.topic,
        "severity": notice.severity,
        "title": notice.title,
        "text": notice.text,
        "app": notice.app,
        "customer": notice.customer,
        "metadata": dict(notice.metadata),
    }
    if notice.group:
        data["group"] = [
            {"id": each.id, "title": each.title, "time": to_rfc3339(each.created_at)} for each in notice.group
        ]
    return data
