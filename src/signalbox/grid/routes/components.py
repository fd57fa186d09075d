"""``/api/components`` but for its import, which is in ``component_upload.py``."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from signalbox.auth.principal import Principal
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.core.text import NO_NUL
from signalbox.grid import components
from signalbox.grid.component_files import read_all, to_csv
from signalbox.grid.kinds import AnyComponent
from signalbox.grid.routes.hand import to_hand
from signalbox.grid.schemas import ComponentOut
from signalbox.grid.series import LARGEST_ID
from signalbox.grid.store import ComponentFilter
from signalbox.infra.context import Context

READ: Final = "grid:read"
WRITE: Final = "grid:write"

Number = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Word = Annotated[str | None, Query(max_length=100, pattern=NO_NUL)]


def build_router(context: Context, guard: Guard) -> APIRouter:
    """The routes below ``/api/components``."""
    router = APIRouter(prefix="/api/components", tags=["grid"])
    _add_export(router, context, guard)
    _add_reads(router, context, guard)
    _add_writes(router, context, guard)
    return router


def _add_export(router: APIRouter, context: Context, guard: Guard) -> None:
    @router.get("/export", summary="All components", dependencies=[Depends(guard.require(READ))])
    async def export(kind: Annotated[Literal["csv", "json"], Query(alias="format")] = "json") -> Response:
        """All components, lowest id first, as `POST /api/components/import` takes them."""
        rows = await read_all(context.db)
        if kind == "json":
            return JSONResponse(rows)
        return Response(to_csv(rows), media_type="text/csv")


def _add_reads(router: APIRouter, context: Context, guard: Guard) -> None:
    reads = [Depends(guard.require(READ))]

    @router.get("", summary="Components", dependencies=reads)
    async def list_components(
        request: Request,
        response: Response,
        *,
        component_type: Word = None,
        substation: Word = None,
        name: Annotated[str | None, Query(max_length=100, pattern=NO_NUL, description="Part of it.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
    ) -> list[ComponentOut]:
        """Components, highest id first; `Link: <...>; rel="next"` leads to the others."""
        wanted = ComponentFilter(component_type, substation, name)
        page = await context.db.read(components.list_components, wanted, limit=limit, cursor=cursor)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items

    @router.get("/{number}", summary="One component", dependencies=reads)
    async def show(number: Number) -> ComponentOut:
        """One component, with the fields of its kind."""
        return await context.db.read(components.show, number)


def _add_writes(router: APIRouter, context: Context, guard: Guard) -> None:
    writer = Depends(guard.require(WRITE))

    @router.post("", status_code=201, summary="Add a component")
    async def add(
        request: Request, response: Response, new: AnyComponent, caller: Annotated[Principal, writer]
    ) -> ComponentOut:
        """Add a component; name and substation together are unique."""
        made = await context.db.write(components.add, new, **to_hand(context, request, caller))
        response.headers["Location"] = f"{request.scope.get('root_path', '')}/api/components/{made.id}"
        return made

    @router.put("/{number}", summary="Replace a component")
    async def replace(
        request: Request, number: Number, new: AnyComponent, caller: Annotated[Principal, writer]
    ) -> ComponentOut:
        """Replace it by one of any kind; it keeps its id and its readings."""
        return await context.db.write(components.replace, number, new, **to_hand(context, request, caller))

    @router.patch("/{number}", summary="Change a component")
    async def change(
        request: Request,
        number: Number,
        given: Annotated[dict[str, Any], Body()],
        caller: Annotated[Principal, writer],
    ) -> ComponentOut:
        """Change the fields that are given; null clears one."""
        return await context.db.write(components.change, number, given, **to_hand(context, request, caller))

    @router.delete("/{number}", status_code=204, summary="Delete a component")
    async def delete(request: Request, number: Number, caller: Annotated[Principal, writer]) -> None:
        """Delete it with its readings; finished reports stay."""
        await context.db.write(components.delete, number, **to_hand(context, request, caller))
