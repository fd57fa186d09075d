"""``GET /api/statistics/``: the calls that went through the gateway; ``GET /api/upstreams``: how its upstreams do."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime

from signalbox.auth.principal import Principal
from signalbox.auth.scopes import MANAGER
from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.core.times import to_micros
from signalbox.gateway import heatmap, probe, service, upstreams
from signalbox.gateway.runtime import GatewayRuntime
from signalbox.gateway.schemas import (
    CallOut,
    Dimension,
    Filters,
    Heatmap,
    ProbeOut,
    Purged,
    Step,
    Summary,
    UpstreamOut,
)
from signalbox.infra.context import Context


def _filters(
    *,
    upstream: Annotated[str | None, Query(description="Name of an upstream.")] = None,
    route: Annotated[str | None, Query(description="Path template, or `unmatched`.")] = None,
    method: Annotated[str | None, Query(description="Method, in any case.")] = None,
    status: Annotated[str | None, Query(description="Code such as `404` or class such as `5xx`.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="First moment, RFC 3339.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Moment behind the last, RFC 3339.")] = None,
) -> Filters:
    return Filters(
        upstream=upstream,
        route=route,
        method=None if method is None else method.upper(),
        status=None if status is None else service.parse_status(status),
        since=None if since is None else to_micros(since),
        until=None if until is None else to_micros(until),
    )


def build_router(context: Context, guard: Guard) -> APIRouter:
    """Routes of the statistics, readable with the scope ``statistics:read``."""
    router = APIRouter(
        prefix="/api/statistics", tags=["statistics"], dependencies=[Depends(guard.require("statistics:read"))]
    )

    @router.get("/", summary="Newest calls")
    async def list_calls(
        request: Request,
        response: Response,
        filters: Annotated[Filters, Depends(_filters)],
        *,
        path_prefix: Annotated[str | None, Query(description="Beginning of the path.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(description="From the `Link` header of the page before.")] = None,
    ) -> list[CallOut]:
        """Calls through the gateway, newest first; `Link: <...>; rel="next"` leads to older ones."""
        wanted = filters._replace(path_prefix=path_prefix)
        page = await context.calls_db.read(service.list_calls, wanted, cursor=cursor, limit=limit)
        if page.next_cursor is not None:
            response.headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return page.items

    @router.get("/summary", summary="Totals and series")
    async def summary(
        filters: Annotated[Filters, Depends(_filters)], step: Step = "minute", by: Dimension = "upstream"
    ) -> Summary:
        """Success rate, percentiles and sums; in all, and over time by upstream, route or status.

        A call counts in the minute in which it ended. Percentiles come from histograms whose buckets are at
        most 10 % wide. Without `since`, the last 60 steps. A range with over 200,000 sums by minute, or by hour
        where the step is longer, is refused: take less time, a filter or a longer step.
        """
        return await context.calls_db.read(service.summarize, filters, step=step, by=by, now=context.clock.now())

    @router.get("/heatmap", summary="How long calls took, over time")
    async def latencies(filters: Annotated[Filters, Depends(_filters)], step: Step = "minute") -> Heatmap:
        """Calls by step of time and by duration, exact at the bounds named; ranges as in the summary."""
        return await context.calls_db.read(heatmap.map_latencies, filters, step=step, now=context.clock.now())

    return router


def build_upstream_router(runtime: GatewayRuntime, guard: Guard) -> APIRouter:
    """Routes about upstreams: seen with the scope ``statistics:read``, changed by a ``manager``."""
    router = APIRouter(prefix="/api/upstreams", tags=["gateway"])
    reader = Depends(guard.require("statistics:read"))
    context = runtime.context

    @router.get("", dependencies=[reader], summary="All upstreams")
    async def list_upstreams() -> list[UpstreamOut]:
        """Circuit breaker, targets, limits and the figures of the last minute, as the process that answers sees them.

        Several gateway processes have a breaker and limits each.
        """
        return await upstreams.describe(runtime.parts, runtime.figures(), context.clock)

    @router.get("/{name}", dependencies=[reader], summary="One upstream")
    async def read_upstream(name: str) -> UpstreamOut:
        """As in the list."""
        parts = runtime.parts_of(name)
        (found,) = await upstreams.describe({name: parts}, runtime.figures(), context.clock)
        return found

    @router.post("/{name}/breaker/reset", summary="Close the circuit breaker")
    async def reset_breaker(
        request: Request, name: str, caller: Annotated[Principal, Depends(guard.require(MANAGER))]
    ) -> UpstreamOut:
        """Let calls through again at once, and forget the failures counted so far; needs the scope manager."""
        parts = runtime.parts_of(name)
        breaker, hand = parts.dispatcher.breaker, _hand(request, caller, context)
        await context.db.write(upstreams.note_reset, upstream=name, before=breaker.state, hand=hand)
        breaker.reset(context.clock.monotonic())
        (found,) = await upstreams.describe({name: parts}, runtime.figures(), context.clock)
        return found

    @router.delete("/{name}/cache", summary="Forget cached answers")
    async def purge_cache(
        request: Request,
        name: str,
        caller: Annotated[Principal, Depends(guard.require(MANAGER))],
        prefix: Annotated[
            str | None, Query(pattern="^/", description="Only paths below this: `/a` is `/a` and `/a/b`, not `/ab`.")
        ] = None,
        path: Annotated[str | None, Query(pattern="^/", description="Only this path, with whatever query.")] = None,
    ) -> Purged:
        """Of all paths, or of some as they are spelt upstream; needs the scope manager."""
        cache = runtime.cache_of(name)
        hand = _hand(request, caller, context)
        await context.db.write(upstreams.note_purge, upstream=name, prefix=prefix, path=path, hand=hand)
        return Purged(purged=await cache.purge(prefix=prefix, path=path))

    _add_probe(router, runtime, guard)
    return router


def _add_probe(router: APIRouter, runtime: GatewayRuntime, guard: Guard) -> None:
    context = runtime.context

    @router.post("/{name}/probe", summary="Ask its servers now")
    async def probe_now(
        request: Request, name: str, caller: Annotated[Principal, Depends(guard.require(MANAGER))]
    ) -> ProbeOut:
        """One GET of `probe_path` to each server, of five seconds at most; needs the scope manager.

        Whatever status it answers with, a server answers. Breaker and ejections stay as they are.
        """
        parts = runtime.parts_of(name)
        found = await probe.probe(parts.settings, parts.dispatcher, recorder=runtime.recorder, clock=context.clock)
        hand = _hand(request, caller, context)
        await context.db.write(upstreams.note_probe, upstream=name, found=found, hand=hand)
        return found


def _hand(request: Request, caller: Principal, context: Context) -> upstreams.Hand:
    return upstreams.Hand(caller.actor, context.clock.now(), request.state.request_id)
