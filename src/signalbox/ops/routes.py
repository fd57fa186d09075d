"""The audit trail, the events and the jobs over HTTP."""

from typing import Annotated, Literal, TypedDict

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AwareDatetime

from signalbox.auth.audit import AuditFilter
from signalbox.auth.principal import Principal
from signalbox.auth.scopes import MANAGER, USER
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.core.times import to_micros
from signalbox.infra.context import Context
from signalbox.infra.jobs import State
from signalbox.ops import background
from signalbox.ops.background import JobOut, Replayed, ScheduleOut
from signalbox.ops.budgets import BudgetOut, list_budgets
from signalbox.ops.schemas import AuditEntry, EventOut
from signalbox.ops.service import list_audit, list_events

Word = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]  # PostgreSQL takes no NUL
JobNumber = Annotated[int, Path(ge=1, le=2**63 - 1)]
KindFilter = Annotated[
    str | None,
    Query(max_length=100, pattern=r"^[^\x00]*$", description="Only jobs of this kind, as in `tasks.submit`."),
]
MOST_AT_ONCE = 1_000
"""Jobs that one request runs again."""
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


def build_jobs_router(context: Context, guard: Guard) -> APIRouter:
    """The routes below ``/api`` with which operators see to background jobs."""
    router = APIRouter(prefix="/api", tags=["jobs"])
    _add_job_lists(router, context, guard)
    _add_job_changes(router, context, guard)
    return router


def _add_job_lists(router: APIRouter, context: Context, guard: Guard) -> None:
    reads = [Depends(guard.require("jobs:read"))]

    @router.get("/jobs", summary="Jobs", dependencies=reads)
    async def jobs(
        request: Request,
        response: Response,
        *,
        state: Annotated[State | None, Query(description="Only jobs in this state.")] = None,
        kind: KindFilter = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
    ) -> list[JobOut]:
        """Background jobs, newest first; needs the scope jobs:read. The header Link leads to older ones."""
        page = await context.db.read(background.list_jobs, state=state, kind=kind, limit=limit, cursor=cursor)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items

    @router.get("/jobs/{number}", summary="One job", dependencies=reads)
    async def job(number: JobNumber) -> JobOut:
        """One job; needs the scope jobs:read. Those that have ended are kept for the time of `[retention]`."""
        return await context.db.read(background.show_job, number)

    @router.get("/schedules", summary="Schedules", dependencies=reads)
    async def schedules() -> list[ScheduleOut]:
        """Jobs that are enqueued again and again; needs the scope jobs:read."""
        return await context.db.read(background.list_schedules)


def _add_job_changes(router: APIRouter, context: Context, guard: Guard) -> None:
    may_change = Depends(guard.require("jobs:write"))

    @router.post("/jobs/retry", summary="Run many jobs again")
    async def retry_jobs(
        request: Request,
        caller: Annotated[Principal, may_change],
        state: Annotated[Literal["dead", "cancelled"], Query(description="Which of those that ended.")] = "dead",
        kind: KindFilter = None,
        limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = MOST_AT_ONCE,
    ) -> Replayed:
        """Run dead jobs again from the start, those first that died first; needs the scope jobs:write.

        Jobs whose key another one uses at present are left out. Ask again until it says 0.
        """
        hand = _hand(request, caller, context)
        return Replayed(
            retried=await context.db.write(background.retry_jobs, state=state, kind=kind, limit=limit, **hand)
        )

    @router.post("/jobs/{number}/retry", summary="Run a job again")
    async def retry_job(request: Request, number: JobNumber, caller: Annotated[Principal, may_change]) -> JobOut:
        """Run a dead or cancelled job again from the start, or a waiting one now; needs the scope jobs:write."""
        return await context.db.write(background.retry_job, number, **_hand(request, caller, context))

    @router.post("/jobs/{number}/cancel", summary="Cancel a job")
    async def cancel_job(request: Request, number: JobNumber, caller: Annotated[Principal, may_change]) -> JobOut:
        """End a waiting job at once, a running one within seconds; needs the scope jobs:write."""
        return await context.db.write(background.cancel_job, number, **_hand(request, caller, context))


class _Hand(TypedDict):
    """Who changes something, when, and in which request."""

    actor: str
    now: int
    request_id: str | None


def _hand(request: Request, caller: Principal, context: Context) -> _Hand:
    return {
        "actor": caller.actor,
        "now": context.clock.now(),
        "request_id": getattr(request.state, "request_id", None),
    }


def _filter(
    actor: Word = None, action: Word = None, target: Word = None, since: Moment = None, until: Moment = None
) -> AuditFilter:
    """The entries wanted; ``since`` is inclusive, ``until`` is not."""
    first = None if since is None else to_micros(since)
    end = None if until is None else to_micros(until)
    return AuditFilter(actor, action, target, since=first, until=end)
