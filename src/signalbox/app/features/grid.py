"""The power grid: components, measurements and reports."""

from sqlalchemy import Connection

from signalbox.app.features import Feature
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.grid import doors, intake
from signalbox.grid.routes import components, measurements
from signalbox.infra.context import Context
from signalbox.ops.retention import Sweep


def build(context: Context, _settings: Settings, guard: Guard) -> Feature:
    """All of it."""
    return Feature(
        "grid",
        routers=[
            components.build_router(context, guard),
            measurements.build_router(context, guard),
        ],
        doors=doors.doors(),
        sweeps=[Sweep("grid_tail", context.db, _fold)],
    )


def _fold(tx: Connection, _now: int, limit: int) -> int:
    return intake.fold_tail(tx, limit=limit)
