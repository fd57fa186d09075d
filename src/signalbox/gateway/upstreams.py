"""How the upstreams are doing, as this process sees them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from sqlalchemy import Connection

from signalbox.auth import audit
from signalbox.core.times import MICROSECONDS, to_datetime
from signalbox.gateway.breaker import BreakerView
from signalbox.gateway.limits import LimitUsage
from signalbox.gateway.parts import Parts
from signalbox.gateway.schemas import (
    BreakerOut,
    CacheOut,
    CounterOut,
    FailedCallOut,
    LimitOut,
    ProbeOut,
    TargetOut,
    UpstreamOut,
)
from signalbox.gateway.targets import TargetView
from signalbox.gateway.vitals import Figures
from signalbox.infra.clock import Clock

_NO_CALLS = Figures(seconds=0.0, calls=0, failed=0, p50=None, p95=None, p99=None)


async def describe(parts: Mapping[str, Parts], figures: Mapping[str, Figures], clock: Clock) -> list[UpstreamOut]:
    """All upstreams in the order of their names; ``figures`` by name, of those that had calls."""
    return [await describe_one(parts[name], figures.get(name, _NO_CALLS), clock) for name in sorted(parts)]


async def describe_one(parts: Parts, figures: Figures, clock: Clock) -> UpstreamOut:
    """One upstream."""
    now, wall = clock.monotonic(), clock.now()
    settings, dispatcher = parts.settings, parts.dispatcher
    usages = [] if parts.limits is None else await parts.limits.usage()
    return UpstreamOut(
        name=settings.name,
        access=settings.access,
        host=settings.host,
        prefix=settings.prefix,
        in_flight=dispatcher.targets.in_flight,
        seconds=round(figures.seconds, 1),
        calls=figures.calls,
        calls_per_second=round(figures.rate, 3),
        error_rate=figures.error_rate,
        p50_seconds=_to_seconds(figures.p50),
        p95_seconds=_to_seconds(figures.p95),
        p99_seconds=_to_seconds(figures.p99),
        cache=None if parts.cached is None else CacheOut(**asdict(parts.cached.cache.counts)),
        breaker=_to_breaker(dispatcher.breaker.view(now, wall=wall)),
        targets=[_to_target(each) for each in dispatcher.targets.views(now, wall=wall)],
        limits=[_to_limit(each) for each in usages],
    )


class Hand(NamedTuple):
    """Who does something to an upstream by hand, for the audit trail."""

    actor: str
    at: int
    """Microseconds UTC."""
    request_id: str | None


def note_reset(tx: Connection, *, upstream: str, before: str, hand: Hand) -> None:
    """Write into the audit trail that somebody closed a breaker."""
    _note(tx, "breaker.reset", upstream, hand, before={"state": before}, after={"state": "closed"})


def note_purge(tx: Connection, *, upstream: str, prefix: str | None, path: str | None, hand: Hand) -> None:
    """Write into the audit trail that somebody made a cache forget answers."""
    _note(tx, "cache.purge", upstream, hand, before=None, after={"prefix": prefix, "path": path})


def note_probe(tx: Connection, *, upstream: str, found: ProbeOut, hand: Hand) -> None:
    """Write into the audit trail that somebody probed an upstream, and what came of it."""
    _note(tx, "upstream.probe", upstream, hand, before=None, after=found.model_dump(mode="json"))


def _note(
    tx: Connection,
    action: str,
    upstream: str,
    hand: Hand,
    *,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    target = f"upstream:{upstream}"
    audit.record(tx, action=action, target=target, before=before, after=after, **hand._asdict())


def _to_breaker(view: BreakerView) -> BreakerOut:
    return BreakerOut(
        state=view.state,
        reason=view.reason,
        since=to_datetime(view.since),
        retry_at=None if view.retry_at is None else to_datetime(view.retry_at),
        calls=view.calls,
        failed=view.failed,
        samples=[FailedCallOut(**{**each._asdict(), "at": to_datetime(each.at)}) for each in view.samples],
    )


def _to_target(view: TargetView) -> TargetOut:
    return TargetOut(
        url=view.url,
        in_flight=view.in_flight,
        failures_in_a_row=view.failures_in_a_row,
        ejected_until=None if view.ejected_until is None else to_datetime(view.ejected_until),
    )


def _to_limit(usage: LimitUsage) -> LimitOut:
    settings = usage.settings
    fullest = [CounterOut(key=key, used=used) for key, used in usage.fullest]
    return LimitOut(
        name=usage.name,
        by=settings.by,
        rate=str(settings.rate),
        pattern=settings.pattern,
        counters=usage.keys,
        fullest=fullest,
    )


def _to_seconds(micros: float | None) -> float | None:
    return None if micros is None else micros / MICROSECONDS
