"""What people see of criticality, and who is expected to ask."""

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request, Response, status
from pydantic import AwareDatetime

from signalbox.auth.principal import Principal
from signalbox.auth.scopes import MANAGER, grants
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, Page, next_link
from signalbox.core.text import NO_NUL
from signalbox.core.times import DAY, to_micros
from signalbox.criticality.errors import NotYourConsumerError
from signalbox.criticality.parameters import consumer_name
from signalbox.criticality.polls import PATH, READ
from signalbox.criticality.schemas import (
    AppAsksOut,
    AsksOut,
    ChangeOut,
    ConsumerOut,
    LevelByHand,
    LevelSet,
    NewConsumer,
    SignalOut,
    State,
    Step,
)
from signalbox.criticality.service import consumers, override, overview
from signalbox.criticality.service.overview import MOST_STEPS
from signalbox.criticality.service.report import Announce, Report
from signalbox.criticality.settings import DEFAULT_SIGNAL, CriticalitySettings
from signalbox.infra.context import Context

T = TypeVar("T")

Name = Annotated[str, Query(max_length=64, pattern=NO_NUL, description="Name of a signal.")]
AppInPath = Annotated[str, Path(pattern=NO_NUL)]
App = Annotated[str | None, Query(max_length=100, pattern=NO_NUL, description="Name of an app.")]
AnyName = Annotated[str | None, Query(max_length=64, pattern=NO_NUL, description="Name of a signal.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
NameInPath = Annotated[str, Path(max_length=64, pattern=NO_NUL, description="Name of a signal.")]
Since = Annotated[AwareDatetime | None, Query(description="A moment with a zone; a day before the end without.")]
Until = Annotated[AwareDatetime | None, Query(description="A moment with a zone; now without.")]
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
        """Who asks or is expected to, newest first, and what each was told of. Up to two seconds old."""
        page = await context.db.read(
            consumers.list_consumers, name=signal, state=state, cursor=cursor, limit=limit, now=context.clock.now()
        )
        return _listed(page, request, response)

    _add_overviews(router, context)
    return router


def _add_overviews(router: APIRouter, context: Context) -> None:
    @router.get("/signals/{signal}/steps", summary="A level over time")
    async def list_steps(
        signal: NameInPath,
        *,
        since: Since = None,
        until: Until = None,
        most: Annotated[int, Query(ge=1, le=MOST_STEPS, description="Steps at the most, about.")] = 500,
    ) -> list[Step]:
        """What a signal stood at, oldest first: the last day, or from `since` to before `until`, by the hub's clock."""
        start, end = _period(context, since, until)
        return await context.db.read(overview.list_steps, signal, since=start, until=end, most=most)

    @router.get("/asks/apps", summary="Who asked how often")
    async def list_app_asks(
        *, signal: AnyName = None, since: Since = None, until: Until = None, limit: Limit = DEFAULT_LIMIT
    ) -> list[AppAsksOut]:
        """Apps by how often they asked, most first: in the last day, or from `since` to before `until`."""
        start, end = _period(context, since, until)
        return await context.calls_db.read(overview.list_app_asks, name=signal, since=start, until=end, limit=limit)


def build_level_router(context: Context, guard: Guard, settings: CriticalitySettings, announce: Announce) -> APIRouter:
    """Levels set by hand, for managers."""
    router = APIRouter(prefix=f"{PATH}/signals", tags=["criticality"])
    manager = Depends(guard.require(MANAGER))

    @router.post("/{signal}", summary="Set a level by hand")
    async def set_level(
        request: Request, signal: NameInPath, new: LevelByHand, caller: Annotated[Principal, manager]
    ) -> LevelSet:
        """Set a level as of now, whatever producers and rules say; it stays until a producer reports another."""
        now = context.clock.now()
        what = Report(signal, new.level, now, caller.actor, new.reason)
        outcome = await context.db.write(
            override.set_level,
            what,
            settings=settings,
            announce=announce,
            now=now,
            request_id=request.state.request_id,
        )
        return LevelSet(revision=outcome.revision, level=outcome.current.level)

    return router


def build_consumer_router(context: Context, guard: Guard) -> APIRouter:
    """Who is expected to ask: an app may say so of itself, a manager of anybody."""
    router = APIRouter(prefix=f"{PATH}/consumers", tags=["criticality"])
    reader = Depends(guard.require(READ))

    @router.post("", summary="Expect a consumer to ask")
    async def register(request: Request, new: NewConsumer, caller: Annotated[Principal, reader]) -> ConsumerOut:
        """Register a consumer with its interval, or change it; mute it or not. What is left out stays as it is.

        Its silence counts from now on. An app may register itself; for others this needs the scope manager.
        """
        _check_whose(new.app, caller)
        return await context.db.write(consumers.register, new, **_hand(request, caller, context))

    @router.delete("/{app:path}", status_code=status.HTTP_204_NO_CONTENT, summary="Expect a consumer no more")
    async def retire(
        request: Request, app: AppInPath, caller: Annotated[Principal, reader], signal: Name = DEFAULT_SIGNAL
    ) -> None:
        """Retire a consumer: its silence is nobody's business any more. It may go on asking."""
        _check_whose(app, caller)
        await context.db.write(consumers.retire, app, signal, **_hand(request, caller, context))

    return router


def _hand(request: Request, caller: Principal, context: Context) -> dict[str, Any]:
    return {"actor": caller.actor, "now": context.clock.now(), "request_id": request.state.request_id}


def _period(context: Context, since: AwareDatetime | None, until: AwareDatetime | None) -> tuple[int, int]:
    """Microseconds UTC; without a beginning a day, without an end up to now."""
    end = context.clock.now() if until is None else to_micros(until)
    return (end - DAY if since is None else to_micros(since)), end


def _check_whose(app: str, caller: Principal) -> None:
    if app != consumer_name(caller) and not grants(caller.scopes, MANAGER):
        msg = f"you are {consumer_name(caller)!r}; what {app!r} is expected to do is for a manager to say"
        raise NotYourConsumerError(msg)


def _listed(page: Page[T], request: Request, response: Response) -> list[T]:
    if page.next_cursor is not None:
        response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
    return page.items
