"""``/api/reports``, but for the order of one, which is in ``doors.py``."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from signalbox.auth.principal import Principal
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.grid import reports
from signalbox.grid.arrow import PARQUET
from signalbox.grid.media import choose
from signalbox.grid.report_feed import ReportFeed
from signalbox.grid.report_files import report_to_csv, report_to_html, report_to_parquet
from signalbox.grid.routes.hand import to_hand
from signalbox.grid.schemas import ReportDetail, ReportOut, ReportStatus
from signalbox.infra.context import Context

OFFERS: Final = ("application/json", "text/html", "text/csv", PARQUET)
FORMATS: Final = {"json": OFFERS[0], "html": OFFERS[1], "csv": OFFERS[2], "parquet": PARQUET}
_WRITERS: dict[str, Callable[[ReportDetail], str | bytes]] = {
    "text/html": report_to_html,
    "text/csv": report_to_csv,
    PARQUET: report_to_parquet,
}

Number = Annotated[int, Path(ge=1, le=2**53 - 1)]


def build_router(context: Context, feed: ReportFeed, guard: Guard) -> APIRouter:
    """The routes below ``/api/reports``."""
    router = APIRouter(prefix="/api/reports", tags=["grid"])
    _add_reads(router, context, feed, guard)
    _add_writes(router, context, guard)
    return router


def _add_reads(router: APIRouter, context: Context, feed: ReportFeed, guard: Guard) -> None:
    reads = [Depends(guard.require("grid:read"))]

    @router.get("", summary="Reports", dependencies=reads)
    async def list_reports(
        request: Request,
        response: Response,
        *,
        status: Annotated[ReportStatus | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
    ) -> list[ReportOut]:
        """Reports without what they say, newest first; `Link: <...>; rel="next"` leads to the others."""
        page = await context.db.read(reports.list_reports, status=status, limit=limit, cursor=cursor)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items

    @router.get(
        "/{number}",
        summary="One report",
        dependencies=reads,
        response_model=ReportDetail,
        responses={200: {"content": {media: {} for media in OFFERS}}},
    )
    async def show(
        request: Request,
        number: Number,
        *,
        wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for its end.")] = 0,
        form: Annotated[Literal["json", "html", "csv", "parquet"] | None, Query(alias="format")] = None,
    ) -> Response:
        """A report with its status and, once it is completed, what it says.

        By `format`, or by `Accept`, also as CSV or Parquet with the daily averages, or as one HTML page with plots.
        """
        media = choose(request.headers.get("accept"), OFFERS) if form is None else FORMATS[form]
        found = await _wait(context, feed, request, number, wait)
        if media == OFFERS[0]:
            return Response(msgspec.json.encode(found), media_type=media)  # a tenth of FastAPI's time, in the loop
        return Response(await asyncio.to_thread(_WRITERS[media], found), media_type=media)


def _add_writes(router: APIRouter, context: Context, guard: Guard) -> None:
    writer = Depends(guard.require("grid:write"))

    @router.delete("/{number}", status_code=204, summary="Delete a report")
    async def delete(request: Request, number: Number, caller: Annotated[Principal, writer]) -> None:
        """Delete it; if it is being made, nothing comes of that."""
        await context.db.write(reports.delete, number, **to_hand(context, request, caller))

    @router.post("/{number}/rerun", status_code=202, summary="Make a report anew")
    async def rerun(request: Request, number: Number, caller: Annotated[Principal, writer]) -> ReportOut:
        """Make a report that has ended anew, of what is measured by now."""
        return await context.db.write(reports.rerun, number, **to_hand(context, request, caller))


async def _wait(context: Context, feed: ReportFeed, request: Request, number: int, seconds: float) -> ReportDetail:
    """The report once it has ended, or so many seconds have passed, or the client or the server is about to go."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        with feed.waiters.join(number) as waiter:  # then look: what ends from here on is heard
            found = await context.db.read(reports.show, number)
            left = until - loop.time()
            if found.status in reports.ENDED or left <= 0:
                return found
            if await waiter.wait(left, receive=request.receive) is None:
                until = loop.time()  # nobody told anything: as it is now it is answered
