"""The power grid: components, measurements and reports."""

from sqlalchemy import Connection

from signalbox.app.features import Feature
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.grid import doors, intake, jobs
from signalbox.grid import reports as report_service
from signalbox.grid.routes import components, measurements, reports
from signalbox.infra.context import Context
from signalbox.infra.events import Subscriber
from signalbox.infra.jobs import DEAD
from signalbox.ops.retention import Sweep


def build(context: Context, _settings: Settings, guard: Guard) -> Feature:
    """All of it."""
    return Feature(
        "grid",
        routers=[each.build_router(context, guard) for each in (components, measurements, reports)],
        doors=doors.doors(),
        kinds=jobs.build_kinds(context),
        subscribers=[Subscriber("grid.reports", [DEAD], report_service.follow_death)],
        sweeps=[Sweep("grid_tail", context.db, _fold)],
    )


def _fold(tx: Connection, _now: int, limit: int) -> int:
    return intake.fold_tail(tx, limit=limit)
