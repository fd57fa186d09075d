"""The demo's power grid: brought in before the demo serves, with a week of readings, a rule, a schedule and a report."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from signalbox.app.hub import Hub
from signalbox.core.times import DAY, to_rfc3339
from signalbox.grid import bulk, component_files, report_schedules, reports, rules
from signalbox.grid.schemas import NewReport, ScheduleIn, ThresholdRuleIn
from signalbox.sandbox.grid import COMPONENTS, RULE, STEP, Meter, meters, past

DAYS = 7
ZONE = "Europe/Berlin"
BY = "demo"


async def load_grid(hub: Hub, console: Console) -> list[Meter]:
    """Bring all of it in; what goes on measuring."""
    context = hub.context
    imported = await component_files.import_all(context, [dict(each) for each in COMPONENTS], by=BY)
    found = meters([each.id for each in imported if each.id is not None])
    now = context.clock.now()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        line = bar.add_task("a week of a power grid", total=len(found) * DAYS * 1440)
        for piece in past(found, until=now, days=DAYS):
            await context.db.write(bulk.insert_known, piece)
            bar.advance(line, len(piece.at))
    await _add_plans(hub, now)
    return found


async def _add_plans(hub: Hub, now: int) -> None:
    """A threshold rule, a report every day, and one of what was brought in."""
    db, limits = hub.context.db, hub.settings.grid
    rule, daily = ThresholdRuleIn.model_validate(RULE), ScheduleIn(name="Daily", every="day", timezone=ZONE)
    await db.write(rules.add, rule, limit=limits.max_rules, by=BY, now=now)
    await db.write(report_schedules.add, daily, limit=limits.max_schedules, by=BY, now=now)
    end = now // STEP * STEP
    week = NewReport(to_rfc3339(end - DAYS * DAY), to_rfc3339(end), ZONE, "The last seven days")
    await db.write(reports.order, week, by=BY, now=now)
