"""``/api/tasks`` and ``/api/providers``, but for the hot paths, which are in ``endpoints.py``."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel

from signalbox.auth.principal import Principal
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.core.text import NO_NUL
from signalbox.core.times import to_micros
from signalbox.ops.many import ManyIn, ManyOut
from signalbox.tasks import overview, service
from signalbox.tasks.endpoints import PATH, READ, WRITE
from signalbox.tasks.runtime import TasksRuntime
from signalbox.tasks.schemas import Entry, ProviderOut, Status, TaskEnvelope, TaskOut, TaskPatch
from signalbox.tasks.store import TaskFilter

Number = Annotated[int, Path(description="Its id; one that no task can have is not found.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Cursor = Annotated[str | None, Query(max_length=100, description="From the `Link` header of the page before.")]
ProviderName = Annotated[
    str | None,
    Query(max_length=64, pattern=NO_NUL, description="Name of a provider; empty: those that are tracked only."),
]


class Health(BaseModel):
    """What existing clients look for."""

    message: str


def build_router(runtime: TasksRuntime, guard: Guard) -> APIRouter:
    """The routes below ``/api/tasks``."""
    router = APIRouter(prefix=PATH, tags=["tasks"])
    _add_lists(router, runtime, guard)
    _add_changes(router, runtime, guard)
    return router


def build_provider_router(runtime: TasksRuntime, guard: Guard) -> APIRouter:
    """How providers stand, and whether the API is up."""
    router, context = APIRouter(prefix="/api", tags=["tasks"]), runtime.context

    @router.get("/providers", dependencies=[Depends(guard.require(READ))], summary="Providers")
    async def list_providers() -> list[ProviderOut]:
        """Limits and how much of them is used, backlog, pause, and how the last poll went."""
        return await context.db.read(
            overview.list_providers,
            runtime.providers,
            settings=runtime.settings,
            budgets=context.budgets,
            now=context.clock.now(),
        )

    @router.get("/healthchecker", summary="Whether the API is up")
    async def check_health() -> Health:
        """For existing clients; ``/readyz`` tells more."""
        return Health(message="The API is up.")

    return router


def _add_lists(router: APIRouter, runtime: TasksRuntime, guard: Guard) -> None:
    reads, db = [Depends(guard.require(READ))], runtime.context.db

    @router.get("", dependencies=reads, summary="Tasks")
    async def list_tasks(
        request: Request,
        response: Response,
        *,
        status: Annotated[Status | None, Query()] = None,
        provider: ProviderName = None,
        since: Annotated[AwareDatetime | None, Query(description="Changed at or after this moment.")] = None,
        app: Annotated[str | None, Query(max_length=200, pattern=NO_NUL, description="Who handed it over.")] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> list[TaskOut]:
        """Tasks, highest id first; `Link: <...>; rel="next"` leads to the others."""
        wanted = TaskFilter(status, provider, None if since is None else to_micros(since), app)
        page = await db.read(service.list_tasks, wanted, limit=limit, cursor=cursor)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items

    @router.get("/{number}/history", dependencies=reads, summary="History of a task")
    async def show_history(
        request: Request, response: Response, number: Number, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> list[Entry]:
        """Changes of a task, newest first, each with who made it; the last entry is how it began."""
        page = await db.read(service.show_history, number, limit=limit, cursor=cursor)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items


def _add_changes(router: APIRouter, runtime: TasksRuntime, guard: Guard) -> None:
    context, journal = runtime.context, runtime.journal
    writer = Depends(guard.require(WRITE))

    @router.patch("/{number}", status_code=202, summary="Change a task")
    async def change_task(number: Number, patch: TaskPatch, caller: Annotated[Principal, writer]) -> TaskEnvelope:
        """Set status and validation error; an error sets the status Error. The status of what has ended stays."""
        now = context.clock.now()
        changed = await context.db.write(service.change_task, number, patch, by=caller, journal=journal, now=now)
        return TaskEnvelope(changed)

    @router.delete("/{number}", status_code=204, summary="Cancel a task")
    async def cancel_task(request: Request, number: Number, caller: Annotated[Principal, writer]) -> None:
        """Take back what has not been submitted; it is gone."""
        await context.db.write(
            service.cancel_task,
            number,
            by=caller.actor,
            journal=journal,
            now=context.clock.now(),
            request_id=request.state.request_id,
        )

    @router.post("/actions", summary="Try again or cancel tasks")
    async def change_tasks(request: Request, wanted: ManyIn, caller: Annotated[Principal, writer]) -> list[ManyOut]:
        """The same for up to 500 tasks at once; one that cannot be changed says why."""
        return await context.db.write(
            service.change_tasks,
            wanted.ids,
            action=wanted.action,
            desk=runtime.desk,
            by=caller,
            journal=journal,
            now=context.clock.now(),
            request_id=request.state.request_id,
        )

    @router.post("/{number}/retry", summary="Try a failed task again")
    async def retry_task(request: Request, number: Number, caller: Annotated[Principal, writer]) -> TaskEnvelope:
        """Submit it from the start, with a new reference: if the provider has it after all, it has it twice."""
        again = await context.db.write(
            service.retry_task,
            number,
            desk=runtime.desk,
            by=caller.actor,
            source=service.source_of(caller),
            journal=journal,
            now=context.clock.now(),
            request_id=request.state.request_id,
        )
        return TaskEnvelope(again)
