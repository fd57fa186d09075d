"""The audit trail, the events and the budgets over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime

from signalbox.auth.audit import AuditFilter
from signalbox.auth.scopes import MANAGER, USER
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.core.text import NO_NUL
from signalbox.core.times import to_micros
from signalbox.infra.context import Context
from signalbox.ops.budgets import BudgetOut, list_budgets
from signalbox.ops.schemas import AuditEntry, EventOut
from signalbox.ops.service import list_audit, list_events

Word = Annotated[str | None, Query(max_length=200, pattern=NO_NUL)]
Moment = Annotated[AwareDatetime | None, Query()]


def build_router(context: Context, guard: Guard) -> APIRouter:
    """The routes below ``/api`` that show the audit trail, the events and the budgets."""
    router = APIRouter(prefix="/api", tags=["ops"])

    @router.get("/audit", dependencies=[Depends(guard.require(MANAGER))])
    async def audit(
        request: Request,
        response: Response,
        wanted: Annotated[AuditFilter, Depends(_filter)],
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
    ) -> list[AuditEntry]:
        """Changes made by people and tokens, newest first; needs the scope manager.

        The header Link leads to older ones.
        """
        page = await context.db.read(list_audit, wanted=wanted, limit=limit, cursor=cursor)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items

    @router.get("/events", dependencies=[Depends(guard.require(USER))])
    async def events(
        request: Request,
        response: Response,
        topic: Annotated[
            str | None, Query(max_length=100, description="A topic, or the beginning of some as in `gateway.*`.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
    ) -> list[EventOut]:
        """What happened, such as an upstream that went down, newest first; needs the scope user.

        The header Link leads to older ones.
        """
        page = await context.db.read(list_events, topic=topic, limit=limit, cursor=cursor)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items

    @router.get("/budgets", summary="Budgets of third-party hosts", dependencies=[Depends(guard.require(USER))])
    async def budgets() -> list[BudgetOut]:
        """How much of each limit is used by all processes together, in the order of the settings."""
        return await context.db.read(list_budgets, budgets=context.budgets, now=context.clock.now())

    return router


def _filter(
    actor: Word = None, action: Word = None, target: Word = None, since: Moment = None, until: Moment = None
) -> AuditFilter:
    """The entries wanted; ``since`` is inclusive, ``until`` is not."""
    first = None if since is None else to_micros(since)
    end = None if until is None else to_micros(until)
    return AuditFilter(actor, action, target, since=first, until=end)
