"""Gateway: the upstreams, how they do, and what the calls of a period add up to."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from signalbox.console import periods
from signalbox.console.page import Page, Route, action
from signalbox.console.pages import calls
from signalbox.console.visit import Visit
from signalbox.core.rates import parse_rate
from signalbox.gateway import probe, upstreams
from signalbox.gateway.errors import RangeTooLongError, UnknownUpstreamError
from signalbox.gateway.parts import Parts
from signalbox.gateway.period import Period, describe_period
from signalbox.gateway.runtime import GatewayRuntime
from signalbox.gateway.schemas import Filters, LimitOut, UpstreamOut

KEPT: Final = 2.5
"""Seconds that the sums of a period are good for, for all who look at it."""


class Purge(BaseModel):
    """What is to be forgotten."""

    model_config = ConfigDict(extra="ignore")

    prefix: Annotated[str | None, Field(pattern="^/", max_length=2_000)] = None


async def show(visit: Visit) -> Response:
    """The whole page; its pictures come by themselves."""
    return visit.render("gateway/index.html", **await _upstreams(visit), **_chosen(visit, None))


async def show_upstreams(visit: Visit) -> Response:
    """The table of upstreams alone."""
    return visit.render("gateway/_upstreams.html", **await _upstreams(visit))


async def show_period(visit: Visit) -> Response:
    """Figures and pictures of a period."""
    upstream = visit.query.get("upstream")
    name, span = periods.span_of(visit.query.get("period"))

    async def look() -> Period:
        return await visit.services.context.calls_db.read(
            describe_period,
            Filters(upstream=upstream),
            step=span.step,
            width=span.width,
            columns=span.columns,
            now=visit.now,
        )

    try:
        period = await visit.services.kept.get(("gateway.period", name, upstream), look, seconds=KEPT)
    except RangeTooLongError:
        return visit.render("gateway/_period_too_long.html", span=span, **_chosen(visit, upstream))
    classes = periods.count_classes(period)
    return visit.render(
        "gateway/_period.html",
        **_chosen(visit, upstream),
        period=period,
        span=span,
        classes=[(label, color, count) for (label, color), count in zip(periods.CLASSES, classes, strict=True)],
        failed=classes[-1],
        statuses=periods.draw_statuses(period),
        latencies=periods.draw_latencies(period),
        taken=periods.count_latencies(period),
        height=periods.HEIGHT,
        name=name,
    )


async def show_upstream(visit: Visit) -> Response:
    """One upstream; its pictures come by themselves.

    Raises:
        UnknownUpstreamError: there is none of this name.
    """
    found = await _upstream(visit)
    return visit.render("gateway/upstream.html", **found, **_chosen(visit, visit.path["name"]))


async def show_state(visit: Visit) -> Response:
    """How one upstream does now.

    Raises:
        UnknownUpstreamError: there is none of this name.
    """
    return visit.render("gateway/_state.html", **await _upstream(visit))


async def probe_now(visit: Visit) -> Response:
    """Ask the servers of an upstream.

    Raises:
        UnknownUpstreamError: there is none of this name.
    """
    runtime, parts = _parts(visit)
    found = await probe.probe(
        parts.settings, parts.dispatcher, recorder=runtime.recorder, clock=visit.services.context.clock
    )
    await visit.services.context.db.write(
        upstreams.note_probe, upstream=parts.settings.name, found=found, hand=_hand(visit)
    )
    said = [
        f"{each.url}: {each.error}" if each.error else f"{each.url} answered {each.status} after {each.seconds:.3f} s"
        for each in found.targets
    ]
    silent = any(each.error for each in found.targets)
    return visit.done(f"{found.upstream}: {'; '.join(said)}.", "gateway", "audit", kind="bad" if silent else "ok")


async def reset_breaker(visit: Visit) -> Response:
    """Let calls through again.

    Raises:
        UnknownUpstreamError: there is none of this name.
    """
    _, parts = _parts(visit)
    name, breaker = parts.settings.name, parts.dispatcher.breaker
    await visit.services.context.db.write(upstreams.note_reset, upstream=name, before=breaker.state, hand=_hand(visit))
    breaker.reset(visit.services.context.clock.monotonic())
    return visit.done(f"The circuit breaker of {name} is closed: calls are let through.", "gateway", "audit")


async def purge_cache(visit: Visit) -> Response:
    """Forget cached answers.

    Raises:
        UnknownUpstreamError: there is no upstream of this name.
        NoCacheError: its answers are not cached.
        UnprocessableError: the prefix is no path.
    """
    runtime, parts = _parts(visit)
    name, wanted = parts.settings.name, await visit.parse(Purge)
    cache = runtime.cache_of(name)
    await visit.services.context.db.write(
        upstreams.note_purge, upstream=name, prefix=wanted.prefix, path=None, hand=_hand(visit)
    )
    purged = await cache.purge(prefix=wanted.prefix, path=None)
    below = f" below {wanted.prefix}" if wanted.prefix else ""
    return visit.done(f"{purged} cached answers of {name}{below} are forgotten.", "gateway", "audit")


def fullest(limits: list[LimitOut]) -> float | None:
    """The share of its limit that the busiest caller has used, 0 to 1; None without limits."""
    shares = [each.used / parse_rate(limit.rate).limit for limit in limits for each in limit.fullest]
    return max(shares, default=0.0) if limits else None


def hit_share(upstream: UpstreamOut) -> float | None:
    """The share of calls that the cache answered; None where there is no cache, or nothing was asked of it."""
    counts = upstream.cache
    if counts is None:
        return None
    answered = counts.hits + counts.stale + counts.collapsed
    asked = answered + counts.misses + counts.revalidated
    return answered / asked if asked else None


async def _upstreams(visit: Visit) -> dict[str, Any]:
    services, gateway = visit.services, visit.services.gateway
    found: list[UpstreamOut] = []
    if gateway is not None:
        found = await upstreams.describe(gateway.parts, gateway.figures(), services.context.clock)
    rows = [(each, hit_share(each), fullest(each.limits)) for each in found]
    return {"rows": rows, "serves": gateway is not None, "alone": services.alone}


async def _upstream(visit: Visit) -> dict[str, Any]:
    runtime, parts = _parts(visit)
    name = parts.settings.name
    (found,) = await upstreams.describe({name: parts}, runtime.figures(), visit.services.context.clock)
    limits = [(each, parse_rate(each.rate).limit) for each in found.limits]
    return {"upstream": found, "limits": limits, "hits": hit_share(found), "alone": visit.services.alone}


def _parts(visit: Visit) -> tuple[GatewayRuntime, Parts]:
    gateway = visit.services.gateway
    if gateway is None:
        msg = "this process serves no upstreams; ask one of the role gateway or all"
        raise UnknownUpstreamError(msg)
    return gateway, gateway.parts_of(visit.path["name"])


def _hand(visit: Visit) -> upstreams.Hand:
    return upstreams.Hand(visit.actor, visit.now, visit.request_id)


def _chosen(visit: Visit, upstream: str | None) -> dict[str, Any]:
    """The period in the address, and the upstream that its pictures are about."""
    name, _ = periods.span_of(visit.query.get("period"))
    return {"chosen": name, "spans": periods.SPANS, "of": upstream}


PAGE = Page(
    name="gateway",
    path="/gateway",
    title="Gateway",
    icon="gateway",
    routes=(
        Route("/gateway", show),
        Route("/gateway/upstreams", show_upstreams),
        Route("/gateway/period", show_period),
        *calls.ROUTES,
        Route("/gateway/upstreams/{name}", show_upstream),
        Route("/gateway/upstreams/{name}/state", show_state),
        action("/gateway/upstreams/{name}/probe", probe_now),
        action("/gateway/upstreams/{name}/reset", reset_breaker),
        action("/gateway/upstreams/{name}/purge", purge_cache),
    ),
)
