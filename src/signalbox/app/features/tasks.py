"""Tasks: handed over, submitted to providers, polled until each is done."""

from sqlalchemy import Connection

from signalbox.app.features import Feature
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.core.times import MICROSECONDS, parse_span
from signalbox.infra.context import Context
from signalbox.ops.sweeps import Sweep
from signalbox.tasks import jobs, routes, store
from signalbox.tasks.endpoints import Endpoints
from signalbox.tasks.jobs import Pumps
from signalbox.tasks.runtime import TasksRuntime


def build(context: Context, settings: Settings, guard: Guard) -> Feature:
    """All of it."""
    runtime = TasksRuntime(context, settings.tasks)
    endpoints, upkeep = Endpoints(runtime), _Upkeep(context, settings)
    margin = round(settings.budget_margin * MICROSECONDS)
    pumps = Pumps(context, runtime.providers, settings.tasks, runtime.journal, margin)
    return Feature(
        "tasks",
        routers=[routes.build_router(runtime, guard), routes.build_provider_router(runtime, guard)],
        doors=endpoints.doors(),
        polls=endpoints.polls(),
        kinds=jobs.build_kinds(pumps),
        schedules=jobs.build_schedules(),
        sweeps=[upkeep.sweep],
        runtime=runtime,
        reload=upkeep.reload,
    )


class _Upkeep:
    """Deletes what is old, as the settings in force say."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self._kept = settings.retention
        self.sweep = Sweep("task", context.db, self._tasks)

    def reload(self, settings: Settings) -> None:
        """Take new settings."""
        self._kept = settings.retention

    def _tasks(self, tx: Connection, now: int, limit: int) -> int:
        return store.delete_ended(tx, older_than=now - parse_span(self._kept.tasks), limit=limit)
