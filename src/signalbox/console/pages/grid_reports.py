"""Reports of the grid: order one, watch it being made, read it, take it along."""

import asyncio
from typing import Any, Final

from markupsafe import Markup
from starlette.responses import Response

from signalbox.console.errors import UnknownPageError
from signalbox.console.page import Route, action
from signalbox.console.visit import Visit, messages
from signalbox.core.errors import Fault, UnprocessableError
from signalbox.grid import plots, reports
from signalbox.grid.arrow import PARQUET
from signalbox.grid.report_files import report_to_csv, report_to_html, report_to_parquet
from signalbox.grid.schemas import NewReport, ReportDetail

ROWS: Final = 30
LONGEST: Final = 100
STATES: Final = {
    "completed": ("ok", "ready"),
    "failed": ("bad", "failed"),
    "running": ("active", "being made"),
    "pending": ("idle", "waits"),
}
_WRITERS: Final = {
    "csv": (report_to_csv, "text/csv"),
    "parquet": (report_to_parquet, PARQUET),
    "html": (report_to_html, "text/html"),
}


async def show(visit: Visit) -> Response:
    """All reports; htmx gets the table alone."""
    page = await visit.services.context.db.read(reports.list_reports, limit=ROWS, cursor=visit.query.get("cursor"))
    values: dict[str, Any] = {
        "reports": page.items,
        "next_cursor": page.next_cursor,
        "states": STATES,
        "sent": {},
        "errors": {},
    }
    return visit.render("grid/_reports.html" if visit.is_fragment else "grid/reports.html", **values)


async def show_report(visit: Visit) -> Response:
    """One report; htmx gets what changes."""
    found = await visit.services.context.db.read(reports.show, visit.number("report"))
    template = "grid/_report.html" if visit.is_fragment else "grid/report.html"
    return visit.render(template, report=found, states=STATES, **await asyncio.to_thread(_drawn, found))


async def download(visit: Visit) -> Response:
    """A report as a file."""
    form = visit.path["form"]
    if form not in _WRITERS:
        msg = f"a report is saved as {', '.join(_WRITERS)}; not as {form[:40]!r}"
        raise UnknownPageError(msg)
    writer, media = _WRITERS[form]
    found = await visit.services.context.db.read(reports.show, visit.number("report"))
    content = await asyncio.to_thread(writer, found)
    headers = {"Content-Disposition": f'attachment; filename="report-{found.id}.{form}"'}
    return Response(content, media_type=media, headers=headers)


async def order(visit: Visit) -> Response:
    """Have a report made; where that is refused, the form says which field is wrong."""
    sent = await visit.sent()
    try:
        made = await visit.services.context.db.write(reports.order, _to_new(sent), **visit.hand)
    except UnprocessableError as error:
        return visit.render("grid/_order.html", status=422, sent=sent, errors=messages(error))
    return visit.done(f"Report {made.id} is ordered.", "grid", "audit")


async def rerun(visit: Visit) -> Response:
    """Make a report anew."""
    made = await visit.services.context.db.write(reports.rerun, visit.number("report"), **visit.hand)
    return visit.done(f"Report {made.id} is made anew.", "grid", "audit")


async def delete(visit: Visit) -> Response:
    """Delete a report."""
    number = visit.number("report")
    await visit.services.context.db.write(reports.delete, number, **visit.hand)
    if f"/grid/reports/{number}" in visit.request.headers.get("hx-current-url", ""):
        return visit.done(f"Report {number} is deleted.", location="/grid/reports")
    return visit.done(f"Report {number} is deleted.", "grid", "audit")


def _to_new(sent: dict[str, str]) -> NewReport:
    name = sent.get("name") or None
    if name is not None and (len(name) > LONGEST or "\x00" in name):
        raise UnprocessableError([Fault("name", f"is at most {LONGEST} characters")])
    return NewReport(sent.get("start_date", ""), sent.get("end_date", ""), sent.get("timezone") or "UTC", name)


def _drawn(report: ReportDetail) -> dict[str, Any]:
    """The pictures of a report; its functions escape all that they write."""
    if report.result is None:
        return {"days": [], "bars": [], "readings": 0}
    averages, summary = report.result["daily_averages"], report.result["summary"]
    measured = dict.fromkeys(str(row["measurement_type"]) for row in averages)
    days = []
    for each in measured:
        rows = [row for row in averages if row["measurement_type"] == each]
        picture = Markup(plots.draw_days(rows, label=f"{each.title()} by day: averages, lowest and highest"))  # noqa: S704 - escaped there
        days.append((each.title(), picture, plots.kinds_of(rows), rows))
    return {"days": days, "bars": _bars(summary), "readings": report.result["provenance"]["readings"]}


def _bars(summary: dict[str, Any]) -> list[tuple[str, list[tuple[str, float, str]]]]:
    """Titles with bars of label, value and its text; what there is none of is left out."""
    counts = [
        (row["component_type"].title(), float(row["count"]), f"{row['count']:,}")
        for row in summary["components_by_type"]
    ]
    found = [
        ("Components", counts),
        ("Transformer capacity", _by_voltage(summary["transformer_capacity_by_voltage"], "total_capacity_mva", "MVA")),
        ("Line length", _by_voltage(summary["line_length_by_voltage"], "total_length_km", "km")),
    ]
    return [(title, bars) for title, bars in found if bars]


def _by_voltage(rows: list[dict[str, Any]], field: str, unit: str) -> list[tuple[str, float, str]]:
    return [(f"{row['voltage_kv']:g} kV", float(row[field]), f"{row[field]:,.6g} {unit}") for row in rows]


ROUTES = (
    Route("/grid/reports", show),
    action("/grid/reports", order),
    Route("/grid/reports/{number}", show_report),
    Route("/grid/reports/{number}/file/{form}", download),
    action("/grid/reports/{number}/rerun", rerun),
    action("/grid/reports/{number}/delete", delete),
)
