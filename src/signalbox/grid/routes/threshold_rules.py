"""``/api/threshold-rules``."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response

from signalbox.auth.principal import Principal
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.grid import rules
from signalbox.grid.routes.hand import to_hand
from signalbox.grid.schemas import Crossing, ThresholdRuleIn, ThresholdRuleOut
from signalbox.grid.series import LARGEST_ID
from signalbox.grid.settings import GridSettings
from signalbox.infra.context import Context

PATH: Final = "/api/threshold-rules"

Number = Annotated[int, Path(ge=1, le=2**53 - 1)]
Filter = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]


def build_router(context: Context, settings: GridSettings, guard: Guard) -> APIRouter:
    """The routes below ``/api/threshold-rules``."""
    router = APIRouter(prefix=PATH, tags=["grid"])
    _add_reads(router, context, guard)
    _add_writes(router, context, settings, guard)
    return router


def _add_reads(router: APIRouter, context: Context, guard: Guard) -> None:
    reads = [Depends(guard.require("grid:read"))]

    @router.get("", summary="Threshold rules", dependencies=reads)
    async def list_rules(
        request: Request,
        response: Response,
        *,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
    ) -> list[ThresholdRuleOut]:
        """Rules, newest first; `Link: <...>; rel="next"` leads to the others."""
        page = await context.db.read(rules.list_rules, limit=limit, cursor=cursor)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items

    @router.get("/crossings", summary="Who is beyond a threshold", dependencies=reads)
    async def list_crossings(
        *,
        rule: Filter = None,
        component: Filter = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    ) -> list[Crossing]:
        """Components that crossed the bound of a rule and are not well again, longest first."""
        return await context.db.read(rules.list_crossings, rule=rule, component=component, limit=limit)

    @router.get("/{number}", summary="One threshold rule", dependencies=reads)
    async def show(number: Number) -> ThresholdRuleOut:
        """A rule, and how many components are raised by it."""
        return await context.db.read(rules.show, number)


def _add_writes(router: APIRouter, context: Context, settings: GridSettings, guard: Guard) -> None:
    writer = Depends(guard.require("grid:write"))

    @router.post("", status_code=201, summary="Add a threshold rule")
    async def add(
        request: Request, response: Response, new: ThresholdRuleIn, caller: Annotated[Principal, writer]
    ) -> ThresholdRuleOut:
        """Events `grid.threshold` and `grid.threshold_cleared` tell of each crossing by readings that come from now on."""
        hand = to_hand(context, request, caller)
        made = await context.db.write(rules.add, new, limit=settings.max_rules, **hand)
        response.headers["Location"] = f"{request.scope.get('root_path', '')}{PATH}/{made.id}"
        return made

    @router.patch("/{number}", summary="Change a threshold rule")
    async def change(
        request: Request,
        number: Number,
        given: Annotated[dict[str, Any], Body()],
        caller: Annotated[Principal, writer],
    ) -> ThresholdRuleOut:
        """Change the fields that are given; null clears one. The rule begins anew, and what it raised is cleared."""
        return await context.db.write(rules.change, number, given, **to_hand(context, request, caller))

    @router.delete("/{number}", status_code=204, summary="Delete a threshold rule")
    async def delete(request: Request, number: Number, caller: Annotated[Principal, writer]) -> None:
        """Delete it; what it raised is cleared."""
        await context.db.write(rules.delete, number, **to_hand(context, request, caller))
