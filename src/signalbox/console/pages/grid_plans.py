"""What the grid does by itself: reports on a schedule, and bounds that readings are held against."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from starlette.responses import Response

from signalbox.console.page import Route, action
from signalbox.console.visit import Visit, check, messages
from signalbox.core.errors import UnprocessableError
from signalbox.grid import report_schedules, rules
from signalbox.grid.errors import (
    RuleExistsError,
    ScheduleExistsError,
)
from signalbox.grid.kinds import kinds
from signalbox.grid.schedule_periods import Every
from signalbox.grid.schemas import ScheduleIn, ThresholdRuleIn
from signalbox.grid.series import MEASUREMENT_TYPES
from signalbox.infra.events import Severity

ROWS: Final = 200
CHOICES: Final[Mapping[str, Any]] = {
    "everies": get_args(Every),
    "types": [(each, each.lower()) for each in MEASUREMENT_TYPES],
    "sides": [(">", "above"), ("<", "below")],
    "severities": get_args(Severity),
}
"""What may be chosen in the forms."""


async def show(visit: Visit) -> Response:
    """Schedules and rules; htmx gets the tables alone."""
    db = visit.services.context.db
    schedules = await db.read(report_schedules.list_schedules, limit=ROWS)
    found = await db.read(rules.list_rules, limit=ROWS)
    values: dict[str, Any] = {"schedules": schedules.items, "rules": found.items}
    if visit.is_fragment:
        return visit.render("grid/_plans.html", **values)
    return visit.render("grid/plans.html", **values, **_form())


async def add_schedule(visit: Visit) -> Response:
    """Have a report made of each period; where that is refused, the form says which field is wrong."""
    services, sent = visit.services, await visit.sent()
    try:
        made = await services.context.db.write(
            report_schedules.add, check(ScheduleIn, sent), limit=services.grid.max_schedules, **visit.hand
        )
    except UnprocessableError as error:
        return visit.render("grid/_schedule_form.html", status=422, **_form(sent, messages(error)))
    except ScheduleExistsError as error:
        return visit.render("grid/_schedule_form.html", status=422, **_form(sent, {"name": str(error)}))
    return visit.done(f"{made.name} is added: a report of each {made.every}.", "tick", "audit")


async def add_rule(visit: Visit) -> Response:
    """Watch a bound; where that is refused, the form says which field is wrong."""
    services, sent = visit.services, await visit.sent()
    try:
        made = await services.context.db.write(
            rules.add, check(ThresholdRuleIn, sent), limit=services.grid.max_rules, **visit.hand
        )
    except UnprocessableError as error:
        return visit.render("grid/_rule_form.html", status=422, **_form(sent, messages(error)))
    except RuleExistsError as error:
        return visit.render("grid/_rule_form.html", status=422, **_form(sent, {"name": str(error)}))
    return visit.done(f"{made.name} is watched: {made.condition}.", "tick", "audit")


async def pause_schedule(visit: Visit) -> Response:
    """Make no reports for a time, or go on."""
    paused = (await visit.form()).get("paused") == "true"
    made = await visit.services.context.db.write(
        report_schedules.change, visit.number("schedule"), {"paused": paused}, **visit.hand
    )
    return visit.done(f"{made.name} {'is paused' if paused else 'goes on'}.", "tick", "audit")


async def delete_schedule(visit: Visit) -> Response:
    """Delete a schedule; its reports stay."""
    number = visit.number("schedule")
    await visit.services.context.db.write(report_schedules.delete, number, **visit.hand)
    return visit.done(f"Schedule {number} is deleted; its reports stay.", "tick", "audit")


async def delete_rule(visit: Visit) -> Response:
    """Delete a threshold rule."""
    number = visit.number("threshold rule")
    await visit.services.context.db.write(rules.delete, number, **visit.hand)
    return visit.done(f"Threshold rule {number} is deleted.", "tick", "audit")


def _form(sent: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None) -> dict[str, Any]:
    names = [("", "every kind"), *((each, each.lower()) for each in kinds())]
    return {"sent": sent or {}, "errors": errors or {}, "kinds": names, **CHOICES}


ROUTES = (
    Route("/grid/plans", show),
    action("/grid/schedules", add_schedule),
    action("/grid/rules", add_rule),
    action("/grid/schedules/{number}/pause", pause_schedule),
    action("/grid/schedules/{number}/delete", delete_schedule),
    action("/grid/rules/{number}/delete", delete_rule),
)
