"""The power grid: components, measurements, threshold rules, reports and their schedules."""

from sqlalchemy import Connection

from signalbox.app.features import Feature
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.grid import blocks, doors, folding, jobs
from signalbox.grid import reports as report_service
from signalbox.grid.batch_upload import build_batch_poll
from signalbox.grid.component_upload import build_import_poll
from signalbox.grid.report_feed import ReportFeed
from signalbox.grid.routes import components, measurements, report_schedules, reports, threshold_rules
from signalbox.infra.context import Context
from signalbox.infra.events import Subscriber
from signalbox.infra.jobs import CANCELLED, DEAD
from signalbox.ops.sweeps import Sweep


def build(context: Context, settings: Settings, guard: Guard) -> Feature:
    """All of it."""
    feed = ReportFeed(context)
    return Feature(
        "grid",
        routers=[
            *(each.build_router(context, guard) for each in (components, measurements)),
            reports.build_router(context, feed, guard),
            report_schedules.build_router(context, settings.grid, guard),
            threshold_rules.build_router(context, settings.grid, guard),
        ],
        doors=doors.doors(),
        polls=[build_batch_poll(context), build_import_poll(context)],
        kinds=jobs.build_kinds(context, settings.grid),
        schedules=jobs.build_schedules(),
        subscribers=[Subscriber("grid.reports", [DEAD, CANCELLED], report_service.follow_job), feed.subscriber()],
        runtime=feed,
        sweeps=[Sweep("grid_tail", context.db, _fold), Sweep("grid_block", context.db, _build)],
    )


def _fold(tx: Connection, now: int, _limit: int) -> int:
    return folding.fold_tail(tx, now=now)


def _build(tx: Connection, now: int, limit: int) -> int:
    return blocks.build_blocks(tx, now=now, limit=limit)
