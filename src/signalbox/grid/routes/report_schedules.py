"""``/api/report-schedules``."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response

from signalbox.auth.principal import Principal
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.grid import report_schedules
from signalbox.grid.routes.hand import to_hand
from signalbox.grid.schemas import ScheduleIn, ScheduleOut
from signalbox.grid.settings import GridSettings
from signalbox.infra.context import Context

PATH: Final = "/api/report-schedules"

Number = Annotated[int, Path(ge=1, le=2**53 - 1)]


def build_router(context: Context, settings: GridSettings, guard: Guard) -> APIRouter:
    """The routes below ``/api/report-schedules``."""
    router = APIRouter(prefix=PATH, tags=["grid"])
    _add_reads(router, context, guard)
    _add_writes(router, context, settings, guard)
    return router


def _add_reads(router: APIRouter, context: Context, guard: Guard) -> None:
    reads = [Depends(guard.require("grid:read"))]

    @router.get("", summary="Schedules of reports", dependencies=reads)
    async def list_schedules(
        request: Request,
        response: Response,
        *,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
    ) -> list[ScheduleOut]:
        """Schedules, newest first; `Link: <...>; rel="next"` leads to the others."""
        page = await context.db.read(report_schedules.list_schedules, limit=limit, cursor=cursor)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items

    @router.get("/{number}", summary="One schedule of reports", dependencies=reads)
    async def show(number: Number) -> ScheduleOut:
        """A schedule, with what it does next."""
        return await context.db.read(report_schedules.show, number)


def _add_writes(router: APIRouter, context: Context, settings: GridSettings, guard: Guard) -> None:
    writer = Depends(guard.require("grid:write"))

    @router.post("", status_code=201, summary="Have reports made again and again")
    async def add(
        request: Request, response: Response, new: ScheduleIn, caller: Annotated[Principal, writer]
    ) -> ScheduleOut:
        """A report of each day, week or month of a time zone, once it has ended; the first of the one that runs now."""
        hand = to_hand(context, request, caller)
        made = await context.db.write(report_schedules.add, new, limit=settings.max_schedules, **hand)
        response.headers["Location"] = f"{request.scope.get('root_path', '')}{PATH}/{made.id}"
        return made

    @router.patch("/{number}", summary="Change a schedule of reports")
    async def change(
        request: Request,
        number: Number,
        given: Annotated[dict[str, Any], Body()],
        caller: Annotated[Principal, writer],
    ) -> ScheduleOut:
        """Change the fields that are given. After a pause it goes on with the period that runs then."""
        return await context.db.write(report_schedules.change, number, given, **to_hand(context, request, caller))

    @router.delete("/{number}", status_code=204, summary="Delete a schedule of reports")
    async def delete(request: Request, number: Number, caller: Annotated[Principal, writer]) -> None:
        """Delete it; its reports stay."""
        await context.db.write(report_schedules.delete, number, **to_hand(context, request, caller))
