"""Grid: substations with their components, and what a component measures."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel
from starlette.responses import Response

from signalbox.console.page import Page, Route, action
from signalbox.console.pages import grid_imports, grid_plans, grid_reports
from signalbox.console.schema_fields import fields_of
from signalbox.console.visit import Visit, check, messages
from signalbox.core.errors import UnprocessableError
from signalbox.core.times import DAY, to_micros
from signalbox.grid import components, overview, readings
from signalbox.grid.component_files import read_all, to_csv
from signalbox.grid.errors import ComponentExistsError, ComponentNotFoundError
from signalbox.grid.kinds import check as check_component
from signalbox.grid.kinds import kinds
from signalbox.grid.readings import Wanted
from signalbox.grid.series import MeasurementType

POINTS: Final = 900
"""Points of a line at most: about one for each pixel."""
SPANS: Final[Mapping[str, tuple[str, int]]] = MappingProxyType(
    {
        "24h": ("24 hours", DAY),
        "7d": ("7 days", 7 * DAY),
        "30d": ("30 days", 30 * DAY),
        "1y": ("1 year", 365 * DAY),
    }
)
LINES: Final[Mapping[MeasurementType, tuple[str, int]]] = MappingProxyType(
    {"VOLTAGE": ("Voltage", 1), "CURRENT": ("Current", 4), "POWER": ("Power", 2)}
)
"""Title and colour of a line; in which unit it is measured nobody tells the hub."""
_COMMON: Final = frozenset({"id", "created_at", "updated_at"})
_TITLED: Final = frozenset({"component_type", "name", "substation"})
"""What the head of the page says."""


class Zoom(BaseModel):
    """What of a line is shown."""

    period: str = "7d"
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


async def show(visit: Visit) -> Response:
    """All substations."""
    return visit.render("grid/index.html", **await _substations(visit), **_form(visit.query.get("kind")))


async def show_substations(visit: Visit) -> Response:
    """The substations alone."""
    return visit.render("grid/_substations.html", **await _substations(visit))


async def show_form(visit: Visit) -> Response:
    """The form of a kind."""
    return visit.render("grid/_form.html", **_form(visit.query.get("component_type")))


async def show_component(visit: Visit) -> Response:
    """One component with its lines."""
    return visit.render("grid/component.html", **await _component(visit))


async def show_state(visit: Visit) -> Response:
    """The part of one component that changes."""
    return visit.render("grid/_component.html", **await _component(visit))


async def line(visit: Visit) -> Response:
    """What a component measured of one type, of as many points as can be seen."""
    zoom = check(Zoom, {name: value for name, value in visit.query.items() if name != "points"})
    kind = _kind(visit)
    _, length = SPANS.get(zoom.period, SPANS["7d"])
    until = visit.now if zoom.until is None else to_micros(zoom.until)
    since = until - length if zoom.since is None else to_micros(zoom.since)
    found = await visit.services.context.db.read(
        readings.read_line, Wanted(visit.number("component"), kind, since, until), points=POINTS, method="lttb"
    )
    title, color = LINES[kind]
    values = [each.value for each in found]
    drawn = [{"label": title, "color": color, "values": values}] if found else []
    times = [each.timestamp.timestamp() for each in found]
    told = {"times": times, "series": drawn, "tight": True}
    return visit.json({**told, "empty": "Nothing was measured in this time."})


async def add(visit: Visit) -> Response:
    """Add a component; where that is refused, the form says which field is wrong."""
    sent = await visit.sent()
    try:
        made = await visit.services.context.db.write(components.add, check_component(sent), **visit.hand)
    except UnprocessableError as error:
        return _refused(visit, sent, messages(error))
    except ComponentExistsError as error:
        return _refused(visit, sent, {"name": str(error)})
    return visit.done(f"{made.name} is added.", location=f"/grid/components/{made.id}")


async def replace(visit: Visit) -> Response:
    """Replace what is known of a component; where that is refused, the form says which field is wrong."""
    sent, number = await visit.sent(), visit.number("component")
    try:
        made = await visit.services.context.db.write(components.replace, number, check_component(sent), **visit.hand)
    except UnprocessableError as error:
        return _refused(visit, sent, messages(error), number)
    except ComponentExistsError as error:
        return _refused(visit, sent, {"name": str(error)}, number)
    return visit.done(
        f"{made.name} is changed.", location=f"/grid/components/{made.id}"
    )  # name and place head the page


async def delete(visit: Visit) -> Response:
    """Delete a component with its readings."""
    number = visit.number("component")
    await visit.services.context.db.write(components.delete, number, **visit.hand)
    return visit.done(f"Component {number} is deleted.", location="/grid")


async def export(visit: Visit) -> Response:
    """All components as CSV, as an import takes them."""
    rows = await read_all(visit.services.context.db)
    headers = {"Content-Disposition": 'attachment; filename="components.csv"'}
    return Response(to_csv(rows), media_type="text/csv", headers=headers)


async def _substations(visit: Visit) -> dict[str, Any]:
    found = await visit.services.context.db.read(overview.list_substations)
    return {"substations": found.shown, "left_out": found.left_out}


async def _component(visit: Visit) -> dict[str, Any]:
    view = await visit.services.context.db.read(overview.show_component, visit.number("component"))
    shown = view.component
    fields = shown.model_dump(exclude=set(_COMMON))
    period = visit.query.get("period", "7d")
    sent = {name: str(value) for name, value in fields.items()}
    return {
        **_form(shown.component_type, sent, number=shown.id),
        "view": view,
        "component": shown,
        "facts": [
            (each.label, fields.get(each.name)) for each in fields_of(kinds()[shown.component_type], without=_TITLED)
        ],
        "titles": {kind: title for kind, (title, _) in LINES.items()},
        "spans": SPANS,
        "period": period if period in SPANS else "7d",
    }


def _form(
    kind: str | None,
    sent: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    number: int | None = None,
) -> dict[str, Any]:
    """A form for one kind of component; ``number`` is of the one that is changed."""
    known = kind if kind is not None and kind in kinds() else next(iter(kinds()))
    fields = fields_of(kinds()[known], without=frozenset({"component_type"}))
    filled = {"sent": sent or {}, "errors": errors or {}, "number": number}
    return {"kind": known, "kinds": list(kinds()), "fields": fields, **filled}


def _refused(visit: Visit, sent: dict[str, str], errors: dict[str, str], number: int | None = None) -> Response:
    return visit.render("grid/_form.html", status=422, **_form(sent.get("component_type"), sent, errors, number))


def _kind(visit: Visit) -> MeasurementType:
    found = visit.path["kind"].upper()
    for kind in LINES:
        if kind == found:
            return kind
    msg = f"nothing is measured that is called {found[:40]!r}"
    raise ComponentNotFoundError(msg)


PAGE = Page(
    name="grid",
    path="/grid",
    title="Grid",
    icon="grid",
    routes=(
        Route("/grid", show),
        Route("/grid/substations", show_substations),
        Route("/grid/form", show_form),
        Route("/grid/components.csv", export),
        *grid_reports.ROUTES,
        *grid_plans.ROUTES,
        action("/grid/components", add),
        Route("/grid/components/{number}", show_component),
        Route("/grid/components/{number}/state", show_state),
        Route("/grid/components/{number}/{kind}.json", line),
        action("/grid/components/{number}", replace),
        action("/grid/components/{number}/delete", delete),
    ),
    uploads=grid_imports.UPLOADS,
)
