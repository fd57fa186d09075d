"""The power grid: components, measurements and reports."""

from signalbox.app.features import Feature
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.grid import routes
from signalbox.infra.context import Context


def build(context: Context, settings: Settings, guard: Guard) -> Feature:
    """All of it."""
    return Feature("grid", routers=[routes.build_router(context, guard)])
