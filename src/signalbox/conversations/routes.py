"""Imports over HTTP; ``uploads.py`` takes them, ``polls.py`` answers searches."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from signalbox.auth.security import Guard
from signalbox.conversations import service
from signalbox.conversations.polls import PATH, READ
from signalbox.conversations.schemas import ImportOut
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.infra.context import Context

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Cursor = Annotated[str | None, Query(max_length=100, description="From the `Link` header of the page before.")]


def build_router(context: Context, guard: Guard) -> APIRouter:
    """Lists, readable with the scope ``conversations:read``."""
    router = APIRouter(prefix=f"{PATH}/imports", tags=["conversations"], dependencies=[Depends(guard.require(READ))])

    @router.get("", summary="Imports")
    async def list_imports(
        request: Request, response: Response, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> list[ImportOut]:
        """Imports of data sets, newest first; at most one of them is live."""
        page = await context.db.read(service.list_imports, cursor=cursor, limit=limit)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items

    @router.get("/{number}", summary="One import")
    async def show_import(number: Annotated[int, Path(ge=1, le=2**31)]) -> ImportOut:
        """How far an import is, and its report: what was read, linked, left unlinked and rejected, for each file."""
        return await context.db.read(service.show_import, number)

    return router
