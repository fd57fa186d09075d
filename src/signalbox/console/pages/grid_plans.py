"""What the grid does by itself: reports on a schedule, and bounds that readings are held against."""

from typing import Any, Final

from starlette.responses import Response

from signalbox.console.page import Route, action
from signalbox.console.visit import Visit
from signalbox.grid import report_schedules, rules
from signalbox.grid.errors import RuleNotFoundError, ScheduleNotFoundError

ROWS: Final = 200


async def show(visit: Visit) -> Response:
    """Schedules and rules; htmx gets the tables alone."""
    db = visit.services.context.db
    schedules = await db.read(report_schedules.list_schedules, limit=ROWS)
    found = await db.read(rules.list_rules, limit=ROWS)
    template = "grid/_plans.html" if visit.is_fragment else "grid/plans.html"
    return visit.render(template, schedules=schedules.items, rules=found.items)


async def pause_schedule(visit: Visit) -> Response:
    """Make no reports for a time, or go on."""
    paused = (await visit.form()).get("paused") == "true"
    made = await visit.services.context.db.write(
        report_schedules.change, _schedule(visit), {"paused": paused}, **_hand(visit)
    )
    return visit.done(f"{made.name} {'is paused' if paused else 'goes on'}.", "tick", "audit")


async def delete_schedule(visit: Visit) -> Response:
    """Delete a schedule; its reports stay."""
    number = _schedule(visit)
    await visit.services.context.db.write(report_schedules.delete, number, **_hand(visit))
    return visit.done(f"Schedule {number} is deleted; its reports stay.", "tick", "audit")


async def delete_rule(visit: Visit) -> Response:
    """Delete a threshold rule."""
    text = visit.path["number"]
    if not _is_number(text):
        msg = f"there is no threshold rule {text[:40]!r}"
        raise RuleNotFoundError(msg)
    await visit.services.context.db.write(rules.delete, int(text), **_hand(visit))
    return visit.done(f"Threshold rule {text} is deleted.", "tick", "audit")


def _schedule(visit: Visit) -> int:
    text = visit.path["number"]
    if not _is_number(text):
        msg = f"there is no schedule {text[:40]!r}"
        raise ScheduleNotFoundError(msg)
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16  # noqa: PLR2004 - digits of the largest number


def _hand(visit: Visit) -> dict[str, Any]:
    return {"by": visit.actor, "now": visit.now, "request_id": visit.request_id}


ROUTES = (
    Route("/grid/plans", show),
    action("/grid/schedules/{number}/pause", pause_schedule),
    action("/grid/schedules/{number}/delete", delete_schedule),
    action("/grid/rules/{number}/delete", delete_rule),
)
