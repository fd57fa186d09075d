"""What people see of criticality, and who is expected to ask."""

from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request, Response, status

from signalbox.auth.principal import Principal
from signalbox.auth.scopes import MANAGER, grants
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, Page, next_link
from signalbox.criticality.errors import NotYourConsumerError
from signalbox.criticality.parameters import consumer_name
from signalbox.criticality.polls import PATH, READ
from signalbox.criticality.schemas import AsksOut, ChangeOut, ConsumerOut, NewConsumer, SignalOut, State
from signalbox.criticality.service import consumers
from signalbox.criticality.settings import DEFAULT_SIGNAL
from signalbox.infra.context import Context

T = TypeVar("T")

Name = Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$", description="Name of a signal.")]
AppInPath = Annotated[str, Path(pattern=r"^[^\x00]*$")]  # PostgreSQL takes no NUL
App = Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$", description="Name of an app.")]
AnyName = Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$", description="Name of a signal.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Cursor = Annotated[str | None, Query(max_length=100, description="From the `Link` header of the page before.")]


def build_router(context: Context, guard: Guard) -> APIRouter:
    """Lists, readable with the scope ``criticality:read``."""
    router = APIRouter(prefix=PATH, tags=["criticality"], dependencies=[Depends(guard.require(READ))])

    @router.get("/signals", summary="All levels")
    async def list_signals() -> list[SignalOut]:
        """What every signal stands at, by name. To look takes the news from no app."""
        return await context.db.read(consumers.list_signals)

    @router.get("/history", summary="Reports of a signal")
    async def list_changes(
        request: Request,
        response: Response,
        *,
        signal: Name = DEFAULT_SIGNAL,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> list[ChangeOut]:
        """What producers reported, newest first; also what did not become current, and why."""
        page = await context.db.read(consumers.list_changes, signal, cursor=cursor, limit=limit)
        return _listed(page, request, response)

    @router.get("/asks", summary="How often apps asked")
    async def list_asks(
        request: Request,
        response: Response,
        *,
        app: App = None,
        signal: AnyName = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> list[AsksOut]:
        """Minutes in which somebody asked, newest first; of one app and one signal, or of all."""
        page = await context.calls_db.read(consumers.list_asks, app=app, name=signal, cursor=cursor, limit=limit)
        return _listed(page, request, response)

    @router.get("/consumers", summary="Who asks")
    async def list_consumers(
        request: Request,
        response: Response,
        *,
        signal: AnyName = None,
        state: State | None = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> list[ConsumerOut]:
        """Who asks or is expected to, newest first, and what each was told of. Up to a second old."""
        page = await context.db.read(
            consumers.list_consumers, name=signal, state=state, cursor=cursor, limit=limit, now=context.clock.now()
        )
        return _listed(page, request, response)

    return router


def build_consumer_router(context: Context, guard: Guard) -> APIRouter:
    """Who is expected to ask: an app may say so of itself, a manager of anybody."""
    router = APIRouter(prefix=f"{PATH}/consumers", tags=["criticality"])
    reader = Depends(guard.require(READ))

    @router.post("", summary="Expect a consumer to ask")
    async def register(new: NewConsumer, caller: Annotated[Principal, reader]) -> ConsumerOut:
        """Register a consumer with its interval, or change it; mute it or not. What is left out stays as it is.

        Its silence counts from now on. An app may register itself; for others this needs the scope manager.
        """
        _check_whose(new.app, caller)
        return await context.db.write(consumers.register, new, actor=caller.actor, now=context.clock.now())

    @router.delete("/{app:path}", status_code=status.HTTP_204_NO_CONTENT, summary="Expect a consumer no more")
    async def retire(app: AppInPath, caller: Annotated[Principal, reader], signal: Name = DEFAULT_SIGNAL) -> None:
        """Retire a consumer: its silence is nobody's business any more. It may go on asking."""
        _check_whose(app, caller)
        await context.db.write(consumers.retire, app, signal, actor=caller.actor, now=context.clock.now())

    return router


def _check_whose(app: str, caller: Principal) -> None:
    if app != consumer_name(caller) and not grants(caller.scopes, MANAGER):
        msg = f"you are {consumer_name(caller)!r}; what {app!r} is expected to do is for a manager to say"
        raise NotYourConsumerError(msg)


def _listed(page: Page[T], request: Request, response: Response) -> list[T]:
    if page.next_cursor is not None:
        response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
    return page.items
