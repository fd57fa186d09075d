"""The jobs and schedules over HTTP."""

from typing import Annotated, Literal, TypedDict

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from signalbox.auth.principal import Principal
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.core.text import NO_NUL
from signalbox.infra.context import Context
from signalbox.infra.jobs import State
from signalbox.ops import background, schedules
from signalbox.ops.background import JobOut, JobsOfKind, Replayed
from signalbox.ops.many import ManyIn, ManyOut
from signalbox.ops.schedules import ScheduleOut

JobNumber = Annotated[int, Path(ge=1, le=2**63 - 1)]
ScheduleName = Annotated[str, Path(max_length=100, pattern=NO_NUL)]
KindFilter = Annotated[
    str | None,
    Query(max_length=100, pattern=NO_NUL, description="Only jobs of this kind, as in `tasks.submit`."),
]
MOST_AT_ONCE = 1_000
"""Jobs that one request runs again."""


def build_jobs_router(context: Context, guard: Guard) -> APIRouter:
    """The routes below ``/api`` with which operators see to background jobs."""
    router = APIRouter(prefix="/api", tags=["jobs"])
    _add_job_lists(router, context, guard)
    _add_job_changes(router, context, guard)
    _add_schedules(router, context, guard)
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

    @router.get("/jobs/summary", summary="Jobs by kind", dependencies=reads)
    async def summary() -> list[JobsOfKind]:
        """How much waits, runs and is dead of each kind, and for how long the first has been due.

        Needs the scope jobs:read.
        """
        return await context.db.read(background.summarize_jobs, now=context.clock.now())

    @router.get("/jobs/{number}", summary="One job", dependencies=reads)
    async def job(number: JobNumber) -> JobOut:
        """One job; needs the scope jobs:read. Those that have ended are kept for the time of `[retention]`."""
        return await context.db.read(background.show_job, number)


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

    @router.post("/jobs/actions", summary="Run again or cancel jobs")
    async def change_jobs(request: Request, wanted: ManyIn, caller: Annotated[Principal, may_change]) -> list[ManyOut]:
        """The same for up to 500 jobs at once; one that cannot be changed says why. Needs the scope jobs:write."""
        hand = _hand(request, caller, context)
        return await context.db.write(background.change_jobs, wanted.ids, action=wanted.action, **hand)

    @router.post("/jobs/{number}/retry", summary="Run a job again")
    async def retry_job(request: Request, number: JobNumber, caller: Annotated[Principal, may_change]) -> JobOut:
        """Run a dead or cancelled job again from the start, or a waiting one now; needs the scope jobs:write."""
        return await context.db.write(background.retry_job, number, **_hand(request, caller, context))

    @router.post("/jobs/{number}/cancel", summary="Cancel a job")
    async def cancel_job(request: Request, number: JobNumber, caller: Annotated[Principal, may_change]) -> JobOut:
        """End a waiting job at once, a running one within seconds; needs the scope jobs:write."""
        return await context.db.write(background.cancel_job, number, **_hand(request, caller, context))


def _add_schedules(router: APIRouter, context: Context, guard: Guard) -> None:
    may_change = Depends(guard.require("jobs:write"))

    @router.get("/schedules", summary="Schedules", dependencies=[Depends(guard.require("jobs:read"))])
    async def list_schedules() -> list[ScheduleOut]:
        """Jobs that are enqueued again and again; needs the scope jobs:read."""
        return await context.db.read(schedules.list_schedules)

    @router.post("/schedules/{name}/run", summary="Run a schedule now")
    async def run(request: Request, name: ScheduleName, caller: Annotated[Principal, may_change]) -> JobOut:
        """Enqueue its job at once, also while it is paused; needs the scope jobs:write."""
        return await context.db.write(schedules.run_now, name, **_hand(request, caller, context))

    @router.post("/schedules/{name}/pause", summary="Pause a schedule")
    async def pause(request: Request, name: ScheduleName, caller: Annotated[Principal, may_change]) -> ScheduleOut:
        """Let its moments pass in all processes until it is resumed; needs the scope jobs:write."""
        return await context.db.write(schedules.pause, name, **_hand(request, caller, context))

    @router.post("/schedules/{name}/resume", summary="Resume a schedule")
    async def resume(request: Request, name: ScheduleName, caller: Annotated[Principal, may_change]) -> ScheduleOut:
        """Let it go on from its next moment; needs the scope jobs:write."""
        return await context.db.write(schedules.resume, name, **_hand(request, caller, context))


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
