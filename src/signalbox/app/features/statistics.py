"""What is known of the calls of the gateway."""

from signalbox.app.features import Feature
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.gateway import routes
from signalbox.infra.context import Context


def build(context: Context, _settings: Settings, guard: Guard) -> Feature:
    """Statistics over HTTP."""
    return Feature("statistics", routers=[routes.build_router(context, guard)])
