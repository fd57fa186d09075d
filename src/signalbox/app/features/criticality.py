"""Levels of criticality: asks, reports, consumers and their silence."""

from sqlalchemy import Connection

from signalbox.app.features import Feature
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.core.times import parse_span
from signalbox.criticality import jobs, routes, store
from signalbox.criticality.polls import Asks
from signalbox.criticality.reports import Reports
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.criticality.secapp import Secapp
from signalbox.criticality.service import rules
from signalbox.infra.context import Context
from signalbox.ops.sweeps import Sweep


def build(context: Context, settings: Settings, guard: Guard) -> Feature:
    """All of it; a process that only works follows rules and notices silence, and answers no asks."""
    runtime = CriticalityRuntime(
        context, settings.criticality, serves=settings.role != "worker", last_words=settings.drain_timeout
    )
    secapp, upkeep = Secapp(runtime, guard.runtime), _Upkeep(context, settings)
    return Feature(
        "criticality",
        routers=[
            routes.build_router(context, guard),
            routes.build_consumer_router(context, guard),
            routes.build_level_router(context, guard, settings.criticality, runtime.announce),
        ],
        doors=[*Reports(runtime).doors(), secapp.door()],
        polls=[*Asks(runtime).polls(), secapp.poll()],
        kinds=jobs.kinds(context),
        schedules=jobs.schedules(),
        subscribers=rules.to_subscribers(settings.criticality, runtime.announce),
        sweeps=upkeep.sweeps,
        runtime=runtime,
        reload=upkeep.reload,
    )


class _Upkeep:
    """Deletes what is old, as the settings in force say."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self._kept = settings.retention
        self.sweeps = [
            Sweep("criticality_change", context.db, self._changes),
            Sweep("criticality_ask", context.calls_db, self._asks),
        ]

    def reload(self, settings: Settings) -> None:
        """Take new settings."""
        self._kept = settings.retention

    def _changes(self, tx: Connection, now: int, limit: int) -> int:
        return store.delete_changes(tx, older_than=now - parse_span(self._kept.criticality_changes), limit=limit)

    def _asks(self, tx: Connection, now: int, _limit: int) -> int:
        older_than = now - parse_span(self._kept.criticality_asks)
        return store.delete_asks(tx, older_than=older_than, limit=1)  # a minute may have a row for each consumer
