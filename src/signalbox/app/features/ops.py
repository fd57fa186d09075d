"""Operations: the audit trail, events and jobs."""

from signalbox.app.features import Feature
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.infra.context import Context
from signalbox.ops.routes import jobs, trail


def build(context: Context, _settings: Settings, guard: Guard) -> Feature:
    """What operators see."""
    return Feature("ops", routers=[trail.build_router(context, guard), jobs.build_jobs_router(context, guard)])
