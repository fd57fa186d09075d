"""Audit: every change that a person, an app or a command made; for managers, as in the API."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from signalbox.auth.audit import AuditFilter
from signalbox.console.moments import parse_moment
from signalbox.console.page import Page, Route
from signalbox.console.visit import Visit, check
from signalbox.core.errors import UnprocessableError
from signalbox.core.text import NO_NUL
from signalbox.ops.service import list_audit

ROWS = 50

Word = Annotated[str | None, Field(max_length=200, pattern=NO_NUL)]


class Asked(BaseModel):
    """What stands in the address."""

    model_config = ConfigDict(extra="ignore")

    actor: Word = None
    action: Word = None
    target: Word = None
    since: Word = None
    until: Word = None
    cursor: Word = None


async def show(visit: Visit) -> Response:
    """The whole page."""
    return await _render(visit, "audit/index.html")


async def show_rows(visit: Visit) -> Response:
    """The table alone."""
    return await _render(visit, "audit/_rows.html")


async def _render(visit: Visit, template: str) -> Response:
    try:
        asked = check(Asked, visit.query)
        wanted = AuditFilter(
            actor=asked.actor,
            action=asked.action,
            target=asked.target,
            since=parse_moment(asked.since, name="since", now=visit.now),
            until=parse_moment(asked.until, name="until", now=visit.now),
        )
    except UnprocessableError as error:
        errors: dict[str, Any] = {fault.where: fault.message for fault in error.faults}
        return visit.render(template, status=422, entries=[], next_cursor=None, errors=errors)
    page = await visit.services.context.db.read(list_audit, wanted=wanted, limit=ROWS, cursor=asked.cursor)
    return visit.render(template, entries=page.items, next_cursor=page.next_cursor, errors={})


PAGE = Page(
    name="audit",
    path="/admin/audit",
    title="Audit trail",
    icon="audit",
    group="Administration",
    role="manager",
    routes=(Route("/admin/audit", show, role="manager"), Route("/admin/audit/rows", show_rows, role="manager")),
)
