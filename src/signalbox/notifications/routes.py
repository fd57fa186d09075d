"""Messages, channels and silences over HTTP: what became of what came in by the doors."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AwareDatetime

from signalbox.auth.principal import Principal
from signalbox.auth.scopes import MANAGER, grants
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.core.text import NO_NUL
from signalbox.core.times import to_micros
from signalbox.notifications import listing, service, silences
from signalbox.notifications.listing import MessageFilter
from signalbox.notifications.runtime import NotificationRuntime
from signalbox.notifications.schemas import (
    ChannelOut,
    ChannelTestOut,
    MessageDetail,
    MessageOut,
    PreviewIn,
    PreviewOut,
    Retried,
    RetryIn,
    RouteTestIn,
    RouteTestOut,
    SilenceIn,
    SilenceOut,
    State,
)
from signalbox.notifications.settings import Severity

Word = Annotated[str | None, Query(max_length=300, pattern=NO_NUL)]
MessageId = Annotated[str, Path(max_length=100, pattern=NO_NUL)]
Cursor = Annotated[str | None, Query(max_length=100, description="From the `Link` header of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


# -- messages ---------------------------------------------------------------------------------------------------------

READ = "notifications:read"
ASSISTANCE = "assistance"


def build_routers(runtime: NotificationRuntime, guard: Guard) -> list[APIRouter]:
    """Everything about notifications that is looked at or changed by people."""
    return [
        _messages(runtime, guard),
        _requests(runtime, guard),
        _actions(runtime, guard),
        _channels(runtime, guard),
        _silences(runtime, guard),
    ]


def _filter(
    *,
    topic: Word = None,
    state: Annotated[State | None, Query(description="Of one of its deliveries.")] = None,
    channel: Word = None,
    severity: Severity | None = None,
    app: Word = None,
    customer: Word = None,
    since: Annotated[AwareDatetime | None, Query(description="First moment, RFC 3339.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Moment behind the last, RFC 3339.")] = None,
) -> MessageFilter:
    return MessageFilter(
        topic=None if topic is None else topic.strip().lower(),
        state=state,
        channel=channel,
        severity=severity,
        app=app,
        customer=customer,
        since=None if since is None else to_micros(since),
        until=None if until is None else to_micros(until),
    )


def _messages(runtime: NotificationRuntime, guard: Guard) -> APIRouter:
    router = APIRouter(prefix="/api/notifications", tags=["notifications"], dependencies=[Depends(guard.require(READ))])
    db = runtime.context.db

    @router.get("", summary="Messages")
    async def list_messages(
        request: Request,
        response: Response,
        wanted: Annotated[MessageFilter, Depends(_filter)],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> list[MessageOut]:
        """Messages and where they went, newest first; the header Link leads to older ones."""
        page = await db.read(listing.list_messages, wanted, limit=limit, cursor=cursor)
        _link(request, response, page.next_cursor)
        return page.items

    @router.post("/route-test", summary="Show the way of a message without sending it")
    async def route_test(body: RouteTestIn) -> RouteTestOut:
        """Which channels it would go to, by which routes, and what would keep it from them now."""
        return await runtime.try_route(body)

    @router.post("/preview", summary="Show a message as a channel would show it")
    def preview(body: PreviewIn) -> PreviewOut:
        """Its templates are run on the message; nothing is sent or kept."""
        return runtime.preview(body)

    return router


def _requests(runtime: NotificationRuntime, guard: Guard) -> APIRouter:
    """What may be asked with the scope of those who send messages, too."""
    router = APIRouter(prefix="/api/notifications", tags=["notifications"])
    reader = Depends(guard.require(READ, ASSISTANCE))

    @router.get("/{id}", summary="Where is my request?")
    async def show_message(
        id: MessageId,  # noqa: A002 - its name on the wire
        caller: Annotated[Principal, reader],
    ) -> MessageDetail:
        """A message, the routes that took it, and every attempt of each of its deliveries.

        An app that may only ask for assistance sees what it sent itself.
        """
        own = None if grants(caller.scopes, READ) else caller.app or ""
        return await runtime.context.db.read(listing.show_message, id, app=own)

    return router


def _actions(runtime: NotificationRuntime, guard: Guard) -> APIRouter:
    router = APIRouter(prefix="/api/notifications", tags=["notifications"])
    context, manager = runtime.context, guard.require(MANAGER)

    @router.post("/retry", summary="Try dead deliveries again")
    async def retry_many(request: Request, body: RetryIn, caller: Annotated[Principal, Depends(manager)]) -> Retried:
        """Those of a channel, of a topic or all, the oldest first, at most 1,000; needs the scope manager."""
        return await context.db.write(service.retry_many, body, hand=_hand(request, caller, runtime))

    @router.post("/{id}/retry", summary="Try the dead deliveries of a message again")
    async def retry_message(
        request: Request,
        id: MessageId,  # noqa: A002 - its name on the wire
        caller: Annotated[Principal, Depends(manager)],
        channel: Word = None,
    ) -> MessageDetail:
        """All of them, or the one to a channel; attempts and age begin anew. Needs the scope manager."""
        hand = _hand(request, caller, runtime)
        return await context.db.write(service.retry_message, id, channel=channel, hand=hand)

    return router


# -- channels ---------------------------------------------------------------------------------------------------------


def _channels(runtime: NotificationRuntime, guard: Guard) -> APIRouter:
    router = APIRouter(prefix="/api/channels", tags=["notifications"])
    manager = guard.require(MANAGER)

    @router.get("", dependencies=[Depends(guard.require(READ))], summary="All channels")
    async def list_channels() -> list[ChannelOut]:
        """State, rate, last success and backlog of each channel, in the order of the settings."""
        return await runtime.show_channels()

    @router.post("/{name}/test", summary="Send a test message")
    async def test_channel(
        request: Request, name: str, caller: Annotated[Principal, Depends(manager)]
    ) -> ChannelTestOut:
        """Now and once, past routes, rate and queue, even where the channel is disabled; needs the scope manager."""
        return await runtime.test_channel(name, hand=_hand(request, caller, runtime))

    @router.post("/{name}/enable", status_code=204, summary="Send through a channel again")
    async def enable_channel(request: Request, name: str, caller: Annotated[Principal, Depends(manager)]) -> None:
        """That was disabled or is paused; what had died stays dead until it is tried again. Needs the scope manager."""
        await runtime.enable_channel(name, hand=_hand(request, caller, runtime))

    return router


# -- silences ---------------------------------------------------------------------------------------------------------


def _silences(runtime: NotificationRuntime, guard: Guard) -> APIRouter:
    router = APIRouter(prefix="/api/silences", tags=["notifications"])
    context, manager = runtime.context, guard.require(MANAGER)

    @router.get("", dependencies=[Depends(guard.require(READ))], summary="Silences")
    async def list_silences(
        request: Request,
        response: Response,
        *,
        active: Annotated[bool, Query(description="Only those that have not ended.")] = True,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> list[SilenceOut]:
        """Newest first; the header Link leads to older ones."""
        now = context.clock.now()
        page = await context.db.read(silences.list_silences, active=active, now=now, limit=limit, cursor=cursor)
        _link(request, response, page.next_cursor)
        return page.items

    @router.post("", status_code=201, summary="Silence messages for a time")
    async def add_silence(
        request: Request, body: SilenceIn, caller: Annotated[Principal, Depends(manager)]
    ) -> SilenceOut:
        """Messages that come in that time and fit are kept and not told; needs the scope manager."""
        hand = _hand(request, caller, runtime)
        return await context.db.write(
            silences.add_silence, body, author=hand.actor, now=hand.at, request_id=hand.request_id
        )

    @router.delete("/{number}", summary="End a silence")
    async def end_silence(
        request: Request, number: Number, caller: Annotated[Principal, Depends(manager)]
    ) -> SilenceOut:
        """At once; needs the scope manager."""
        hand = _hand(request, caller, runtime)
        return await context.db.write(
            silences.end_silence, number, actor=hand.actor, now=hand.at, request_id=hand.request_id
        )

    return router


def _link(request: Request, response: Response, cursor: str | None) -> None:
    if cursor is not None:
        response.headers["Link"] = next_link(request.url.path, request.url.query, cursor)


def _hand(request: Request, caller: Principal, runtime: NotificationRuntime) -> service.Hand:
    return service.Hand(caller.actor, runtime.context.clock.now(), request.state.request_id)
