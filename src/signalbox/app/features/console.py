"""The console: pages over what the other features have built."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection

import signalbox
from signalbox.app import errors
from signalbox.app.effective import list_settings
from signalbox.app.features import Feature
from signalbox.app.settings import Settings
from signalbox.auth.audit import AuditFilter
from signalbox.auth.runtime import AuthRuntime
from signalbox.console.kept import Kept
from signalbox.console.live import Live, Sources
from signalbox.console.pages import PAGES
from signalbox.console.routes import build_router, build_status_router, build_uploads
from signalbox.console.services import Services
from signalbox.conversations.importing import CHANNEL as CONVERSATIONS
from signalbox.conversations.runtime import ConversationRuntime
from signalbox.criticality.runtime import CHANNEL as CRITICALITY
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.gateway.runtime import GatewayRuntime
from signalbox.grid import reports
from signalbox.infra.context import Context
from signalbox.notifications import listing
from signalbox.notifications.runtime import NotificationRuntime
from signalbox.ops import background, service
from signalbox.ops.health import ReadinessProbe
from signalbox.tasks.journal import CHANNEL as TASKS
from signalbox.tasks.runtime import TasksRuntime

R = TypeVar("R")

LOOK = 50
"""Newest rows of a list that are watched for changes."""


def build(
    context: Context,
    settings: Settings,
    features: Sequence[Feature],
    *,
    auth: AuthRuntime,
    probe: ReadinessProbe,
    gateway: GatewayRuntime | None,
) -> Feature:
    """All of it. ``features`` are the others, as they were built for this process."""
    shown = _Shown(settings)
    services = build_services(context, settings, features, auth=auth, probe=probe, gateway=gateway)
    services = replace(services, settings=lambda: list_settings(shown.settings))
    live = Live(context, auth.sessions, build_sources())
    routers = [build_router(services, live, PAGES)]
    if settings.status_page.enabled:
        routers.append(build_status_router(services, settings.status_page))
    return Feature(
        "console",
        routers=routers,
        reload=shown.take,
        polls=build_uploads(services, PAGES),
        runtime=live,
    )


class _Shown:
    """The settings that the console shows: the newest that this process was given."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def take(self, settings: Settings) -> None:
        self.settings = settings


def build_services(
    context: Context,
    settings: Settings,
    features: Sequence[Feature],
    *,
    auth: AuthRuntime,
    probe: ReadinessProbe,
    gateway: GatewayRuntime | None,
) -> Services:
    """What pages may ask."""
    return Services(
        context=context,
        auth=auth,
        probe=probe,
        gateway=gateway,
        criticality=_runtime(features, CriticalityRuntime),
        notifications=_runtime(features, NotificationRuntime),
        tasks=_runtime(features, TasksRuntime),
        conversations=_runtime(features, ConversationRuntime),
        grid=settings.grid,
        kinds=sorted(kind for feature in features for kind in feature.kinds),
        alone=settings.sqlite_path is not None,
        kept=Kept(context.clock),
        version=signalbox.__version__,
        settings=lambda: list_settings(settings),
        status_of=errors.status_of,
    )


def _runtime(features: Sequence[Feature], kind: type[R]) -> R:
    """What a feature keeps in memory, told by its type."""
    return next(each.runtime for each in features if isinstance(each.runtime, kind))


def build_sources() -> Sources:
    """Where the console finds what has changed."""
    return Sources(
        channels={CRITICALITY: "criticality", TASKS: "tasks", CONVERSATIONS: "conversations"},
        marks={"jobs": _jobs, "notifications": _messages, "audit": _audit, "grid": _reports},
        ticks={"gateway": 3, "tick": 5},
    )


def _jobs(tx: Connection) -> object:
    found = background.list_jobs(tx, state=None, kind=None, limit=LOOK).items
    return [(each.id, each.state, each.attempts) for each in found]


def _messages(tx: Connection) -> object:
    found = listing.list_messages(tx, listing.MessageFilter(), limit=LOOK).items
    return [(each.id, *((way.state, way.attempts) for way in each.deliveries)) for each in found]


def _audit(tx: Connection) -> object:
    return [each.id for each in service.list_audit(tx, wanted=AuditFilter(), limit=1).items]


def _reports(tx: Connection) -> object:
    return [(each.id, each.status, each.progress) for each in reports.list_reports(tx, limit=LOOK).items]
