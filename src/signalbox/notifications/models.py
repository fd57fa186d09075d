"""Tables of notifications."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint, text

from signalbox.infra.db.tables import BigId, Micros, main

_OPEN = text("state <> 'sent'")
_WAITING = text("state = 'pending'")
_KEYED = text("group_key IS NOT NULL AND state = 'pending'")

message = Table(
    "notification_message",
    main,
    Column("number", BigId, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("topic", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("source", Text, nullable=False),  # api, hook:NAME, event:ID or test
    Column("app", Text),
    Column("customer", Text),
    Column("description", Text, nullable=False),
    Column("metadata", Text, nullable=False),  # not Json: nothing is sought in it, and it comes back as it was
    Column("dedup_key", Text),
    Column("routes", Text, nullable=False),  # names of the routes that matched, a JSON array
    Column("created_at", Micros, nullable=False, index=True),
    Index(None, "topic", "number"),
)
"""One row for each message that was accepted; swept by age."""

delivery = Table(
    "notification_delivery",
    main,
    Column("number", BigId, primary_key=True),
    Column("message", BigId, ForeignKey("notification_message.number"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),  # those that failed and count
    Column("due_at", Micros, nullable=False),
    Column("since", Micros, nullable=False),  # when its age began: accepted or replayed
    Column("group_key", Text),
    Column("carried_by", BigId),  # the delivery that tells of this one
    Column("reason", Text),
    Column("provider_id", Text),
    Column("ended_at", Micros),
    UniqueConstraint("message", "channel"),
    Index("ix_notification_delivery_waiting", "channel", "number", sqlite_where=_WAITING, postgresql_where=_WAITING),
    Index("ix_notification_delivery_open", "state", "message", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("ix_notification_delivery_group", "group_key", "number", sqlite_where=_KEYED, postgresql_where=_KEYED),
    Index(None, "carried_by"),
)
"""A message on its way to a channel; ``docs/state-machines.md`` shows its states."""

attempt = Table(
    "notification_attempt",
    main,
    Column("id", BigId, primary_key=True),
    Column("delivery", BigId, ForeignKey("notification_delivery.number"), nullable=False, index=True),
    Column("channel", Text, nullable=False),
    Column("at", Micros, nullable=False),
    Column("micros", Micros, nullable=False),  # how long it took
    Column("outcome", Text, nullable=False),  # sent, failed, refused
    Column("status", Integer),
    Column("excerpt", Text, nullable=False),
    Column("error", Text),
    Index(None, "channel", "outcome", "at"),
)
"""One row for each time that something was sent or tried."""

channel_state = Table(
    "notification_channel",
    main,
    Column("name", Text, primary_key=True),
    Column("disabled_at", Micros),
    Column("disabled_reason", Text),
    Column("paused_until", Micros),
    Column("sends", Text),  # when the last ones began, a JSON array: as many as its rate lets through in a window
)
"""What is known of a channel besides its settings; no row: nothing."""

mark = Table(
    "notification_mark",
    main,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("until", Micros, nullable=False, index=True),
    Column("message_id", Text, nullable=False),
)
"""What has to be remembered for a while: a dedup key, a raised message that hides lesser ones, the next moment of a
group, a hook's request."""

silence = Table(
    "notification_silence",
    main,
    Column("id", BigId, primary_key=True),
    Column("matcher", Text, nullable=False),  # as JSON
    Column("starts_at", Micros, nullable=False),
    Column("ends_at", Micros, nullable=False, index=True),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Micros, nullable=False),
    sqlite_autoincrement=True,  # an id that came back would make an old reason name the wrong silence
)
"""Messages that are not to be told for a time."""
