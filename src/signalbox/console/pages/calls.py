"""The log of calls, a part of the page Gateway: which there were, and all that is known of one."""

import shlex
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from signalbox.console.moments import parse_moment
from signalbox.console.page import Route
from signalbox.console.visit import Visit
from signalbox.core.errors import Fault, InvalidError, UnprocessableError
from signalbox.gateway import service
from signalbox.gateway.schemas import CallOut, Filters

LIMIT = 50
STATUSES = ("2xx", "3xx", "4xx", "5xx")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


async def show_calls(visit: Visit) -> Response:
    """The log."""
    return await _render(visit, "gateway/calls.html")


async def show_rows(visit: Visit) -> Response:
    """The table of the log alone."""
    return await _render(visit, "gateway/_calls.html")


async def show_call(visit: Visit) -> Response:
    """One call.

    Raises:
        UnknownPageError: its id is no number.
        UnknownCallError: there is none of this id.
    """
    call = await visit.services.context.calls_db.read(service.get_call, number=visit.number("call"))
    base = visit.request.base_url
    curl = curl_of(call, origin=f"{base.scheme}://{base.netloc}", root=visit.url().removesuffix("/console"))
    return visit.render("gateway/call.html", call=call, curl=curl, outcome=state_of(call.status_code))


def curl_of(call: CallOut, *, origin: str, root: str) -> str:
    """A command that makes the same call through the hub again.

    It holds no credentials: those of the call were never kept, so a variable stands for the token. Queries, headers and
    bodies are not kept either.
    """
    words = ["curl", "--include", "--path-as-is", "--globoff"]
    words += ["--head"] if call.method == "HEAD" else ["--request", call.method]
    quoted = [shlex.quote(word) for word in [*words, f"{origin}{root}{call.path}"]]
    sent = (
        []
        if call.app is None
        else ["--header", '"Token: $SIGNALBOX_TOKEN"', "--header", shlex.quote(f"App-name: {call.app}")]
    )
    return " ".join([*quoted, *sent])


def state_of(status: int) -> str:
    """How a status is coloured."""
    return "bad" if status >= 500 else "warning" if status >= 400 else "ok"  # noqa: PLR2004 - classes of statuses


def filters_of(query: Mapping[str, str], *, now: int) -> Filters:
    """What the address asks for.

    Raises:
        UnprocessableError: a filter cannot be read.
    """
    try:
        status = service.parse_status(query["status"]) if "status" in query else None
    except InvalidError as error:
        raise UnprocessableError([Fault("status", str(error))]) from None
    return Filters(
        upstream=query.get("upstream"),
        route=query.get("route"),
        method=query["method"].upper() if "method" in query else None,
        path_prefix=query.get("path"),
        status=status,
        since=parse_moment(query.get("since"), name="since", now=now),
        until=parse_moment(query.get("until"), name="until", now=now),
    )


async def _render(visit: Visit, template: str) -> Response:
    query, db = visit.query, visit.services.context.calls_db
    gateway = visit.services.gateway
    known = sorted(gateway.parts) if gateway is not None else []
    shared: dict[str, Any] = {"upstreams": known, "statuses": STATUSES, "methods": METHODS, "state_of": state_of}
    try:
        filters = filters_of(query, now=visit.now)
    except UnprocessableError as error:
        faults = {fault.where: fault.message for fault in error.faults}
        return visit.render(template, status=422, calls=[], next_cursor=None, errors=faults, **shared)
    page = await db.read(service.list_calls, filters, cursor=query.get("cursor"), limit=LIMIT)
    return visit.render(template, calls=page.items, next_cursor=page.next_cursor, errors={}, **shared)


ROUTES = (
    Route("/gateway/calls", show_calls),
    Route("/gateway/calls/rows", show_rows),
    Route("/gateway/calls/{number}", show_call),
)
