"""Messages: what comes in, where it goes, what became of it."""

from collections.abc import Sequence

from sqlalchemy import Connection

from signalbox.app.features import Feature
from signalbox.app.settings import RetentionSettings, Settings
from signalbox.auth.security import Guard
from signalbox.core.times import DAY, parse_span
from signalbox.infra.context import Context
from signalbox.notifications import marks, orphans, silences, store
from signalbox.notifications.doors import build_doors
from signalbox.notifications.events import build_follower, build_subscriber
from signalbox.notifications.routes import build_routers
from signalbox.notifications.runtime import NotificationRuntime
from signalbox.ops.sweeps import Sweep

MARKS_KEPT = 2 * DAY
"""A group's last moment counts for at most a day after it."""


def build(context: Context, settings: Settings, guard: Guard) -> Feature:
    """Notifications, as ``[notifications]`` has them."""
    runtime, kept = NotificationRuntime(context, settings.notifications), _Kept(settings.retention)
    takes_events = settings.notifications.routes or settings.notifications.default
    return Feature(
        "notifications",
        routers=build_routers(runtime, guard),
        doors=build_doors(runtime),
        kinds=runtime.kinds(),
        subscribers=[build_follower(), *([build_subscriber(lambda: runtime.routing)] if takes_events else [])],
        sweeps=_sweeps(context, kept, list(runtime.channels)),
        runtime=runtime,
        reload=kept.reload,
    )


class _Kept:
    """How long messages are kept; the setting may change while the process serves."""

    def __init__(self, settings: RetentionSettings) -> None:
        self.micros = parse_span(settings.notifications)

    def reload(self, settings: Settings) -> None:
        """Take new settings."""
        self.micros = parse_span(settings.retention.notifications)


def _sweeps(context: Context, kept: _Kept, channels: Sequence[str]) -> list[Sweep]:
    def messages(tx: Connection, now: int, limit: int) -> int:
        return store.delete_messages(tx, older_than=now - kept.micros, limit=limit)

    def ended_marks(tx: Connection, now: int, limit: int) -> int:
        return marks.delete_marks(tx, older_than=now - MARKS_KEPT, limit=limit)

    def ended_silences(tx: Connection, now: int, limit: int) -> int:
        return silences.delete_silences(tx, older_than=now - kept.micros, limit=limit)

    def orphaned(tx: Connection, now: int, limit: int) -> int:
        return orphans.end_orphans(tx, channels, now=now, limit=limit)

    return [
        Sweep("notification_delivery", context.db, orphaned),
        Sweep("notification_message", context.db, messages),
        Sweep("notification_mark", context.db, ended_marks),
        Sweep("notification_silence", context.db, ended_silences),
    ]
