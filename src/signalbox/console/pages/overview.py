"""Overview: what flows, what is stuck, and what to do."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from signalbox.console import health
from signalbox.console.cookies import is_tour_hidden
from signalbox.console.page import Page, Route
from signalbox.console.services import Services
from signalbox.console.visit import Visit
from signalbox.core.times import MINUTE, to_datetime
from signalbox.criticality.schemas import ConsumerOut, SignalOut
from signalbox.criticality.service import consumers
from signalbox.criticality.settings import DEFAULT_SIGNAL
from signalbox.gateway import service as statistics
from signalbox.gateway import upstreams
from signalbox.gateway.schemas import Filters, Summary, UpstreamOut
from signalbox.infra.jobs import Backlog, read_backlog
from signalbox.ops import background

FAILURES = 8
KEPT = 2.5
"""Seconds that what costs most is good for; the topic that has it asked for comes every three."""
SILENT = 50
_CLASSES = (("2xx and 3xx", 1, 4), ("4xx", 4, 2), ("5xx", 5, 3))
"""Lines of the chart: label, the first class of statuses that counts, the colour."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """How the gateway does."""

    per_second: float | None
    window: str
    """The time that ``per_second`` covers, in words."""
    error_rate: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that went wrong."""

    at: datetime
    what: str
    why: str


async def show(visit: Visit) -> Response:
    """The whole page."""
    found = await asyncio.gather(_figures(visit), _parts(visit), _criticality(visit), _failures(visit))
    values: dict[str, Any] = {}
    for each in found:
        values |= each
    return visit.render("overview/index.html", **values, tour_hidden=is_tour_hidden(visit.request))


async def show_figures(visit: Visit) -> Response:
    """The figures alone."""
    return visit.render("overview/_figures.html", **await _figures(visit))


async def show_parts(visit: Visit) -> Response:
    """The health of parts alone."""
    return visit.render("overview/_parts.html", **await _parts(visit))


async def show_criticality(visit: Visit) -> Response:
    """Gauge and silent consumers alone."""
    return visit.render("overview/_criticality.html", **await _criticality(visit))


async def show_failures(visit: Visit) -> Response:
    """The last failures alone."""
    return visit.render("overview/_failures.html", **await _failures(visit))


async def traffic_series(visit: Visit) -> Response:
    """Requests in a second over the last hour, for the chart: thousands of sums, so one look for all who look."""

    async def look() -> dict[str, Any]:
        now = visit.now
        wanted = Filters(since=now - 59 * MINUTE)
        calls_db = visit.services.context.calls_db
        summary = await calls_db.read(statistics.summarize, wanted, step="minute", by="status", now=now)
        return to_series(summary, now=now)

    return visit.json(await visit.services.kept.get("overview.traffic", look, seconds=KEPT))


def to_series(summary: Summary, *, now: int) -> dict[str, Any]:
    """What the chart is drawn from; a minute that has not ended counts for the seconds it has had."""
    starts = sorted({point.start for series in summary.series for point in series.points})
    if not starts:
        return {"times": [], "series": [], "empty": "No call has gone through the gateway in the last hour."}
    first, last = starts[0], to_datetime(now // MINUTE * MINUTE)
    count = int((last - first).total_seconds() // 60) + 1
    times = [int(first.timestamp()) + 60 * index for index in range(count)]
    lines = {label: [0.0] * count for label, _, _ in _CLASSES}
    for series in summary.series:
        line = lines[_label_of(int(series.name))]
        for point in series.points:
            place = int((point.start - first).total_seconds() // 60)
            elapsed = min(60.0, max(1.0, now / 1_000_000 - times[place]))
            line[place] += point.totals.calls / elapsed
    drawn = [
        {
            "label": label,
            "color": color,
            "values": [round(value, 3) for value in lines[label]],
            "fill": color == _CLASSES[0][2],
        }
        for label, _, color in _CLASSES
    ]
    return {"times": times, "unit": "/s", "series": drawn}


def _label_of(status: int) -> str:
    return next(label for label, first, _ in reversed(_CLASSES) if status // 100 >= first)


async def _figures(visit: Visit) -> dict[str, Any]:
    traffic, backlog = await asyncio.gather(_traffic(visit), _backlog(visit))
    return {"traffic": traffic, "backlog": health.add_up(backlog, now=visit.now)}


async def _parts(visit: Visit) -> dict[str, Any]:
    services = visit.services
    readiness, known, backlog, silent = await asyncio.gather(
        services.probe.ask(), _upstreams(services), _backlog(visit), _silent(visit)
    )
    parts = [
        health.database_part(readiness),
        health.gateway_part(known),
        health.job_part(health.add_up(backlog, now=visit.now)),
        health.criticality_part(fresh=services.criticality.is_fresh, silent=len(silent)),
        *health.feature_parts(backlog, now=visit.now),
    ]
    return {"parts": parts, "known": visit.paths}


async def _criticality(visit: Visit) -> dict[str, Any]:
    signals = await visit.services.context.db.read(consumers.list_signals)
    scale = visit.services.criticality.settings
    return {"signal": _first_signal(signals), "scale": scale, "silent": await _silent(visit)}


async def _failures(visit: Visit) -> dict[str, Any]:
    return {"failures": await visit.services.kept.get("overview.failures", lambda: _find_failures(visit), seconds=KEPT)}


async def _find_failures(visit: Visit) -> list[Failure]:
    context = visit.services.context
    calls, jobs = await asyncio.gather(
        context.calls_db.read(statistics.list_calls, Filters(status=(500, 599)), cursor=None, limit=FAILURES),
        context.db.read(background.list_jobs, state="dead", kind=None, limit=FAILURES),
    )
    failures = [
        Failure(each.created_at, f"{each.method} {each.path}", _call_reason(each.status_code, each.upstream))
        for each in calls.items
    ]
    failures += [
        Failure(each.ended_at or each.created_at, f"job {each.id}, {each.kind}", each.error or "")
        for each in jobs.items
    ]
    return sorted(failures, key=lambda each: each.at, reverse=True)[:FAILURES]


async def _traffic(visit: Visit) -> Traffic:
    return await visit.services.kept.get("overview.rates", lambda: _find_traffic(visit), seconds=1.0)


async def _find_traffic(visit: Visit) -> Traffic:
    """Rates of this very moment from memory where this process is the only one, else from the database."""
    services, now = visit.services, visit.now
    summary: Summary = await services.context.calls_db.read(
        statistics.summarize, Filters(since=now - 4 * MINUTE), step="minute", by="status", now=now
    )
    totals = summary.totals
    per_second, window = _last_minute(summary, now), "the last full minute"
    if services.gateway is not None and services.alone:
        per_second, window = sum(each.rate for each in services.gateway.figures().values()), "the last minute"
    return Traffic(per_second, window, _error_rate(summary), totals.p95_seconds)


def _last_minute(summary: Summary, now: int) -> float:
    wanted = to_datetime(now // MINUTE * MINUTE - MINUTE)
    points = (point for series in summary.series for point in series.points)
    return sum(point.totals.calls for point in points if point.start == wanted) / 60


def _error_rate(summary: Summary) -> float | None:
    if not summary.totals.calls:
        return None
    failed = (series for series in summary.series if series.name.startswith("5"))
    return sum(point.totals.calls for series in failed for point in series.points) / summary.totals.calls


async def _backlog(visit: Visit) -> dict[str, Backlog]:
    services = visit.services
    return await services.context.db.read(_read_backlog, services.kinds)


def _read_backlog(tx: Connection, kinds: Iterable[str]) -> dict[str, Backlog]:
    return read_backlog(tx, list(kinds), most=health.MOST)


async def _silent(visit: Visit) -> list[ConsumerOut]:
    page = await visit.services.context.db.read(
        consumers.list_consumers, name=None, state="silent", cursor=None, limit=SILENT, now=visit.now
    )
    return page.items


async def _upstreams(services: Services) -> list[UpstreamOut] | None:
    gateway = services.gateway
    if gateway is None:
        return None
    return await upstreams.describe(gateway.parts, gateway.figures(), services.context.clock)


def _first_signal(signals: list[SignalOut]) -> SignalOut | None:
    """The one that is meant where none is named, else the worst."""
    return max(signals, key=lambda each: (each.signal == DEFAULT_SIGNAL, each.level), default=None)


def _call_reason(status: int, upstream: str | None) -> str:
    return f"{status}, {upstream}" if upstream else str(status)


PAGE = Page(
    name="overview",
    path="",
    title="Overview",
    icon="overview",
    routes=(
        Route("", show),
        Route("/overview/figures", show_figures),
        Route("/overview/parts", show_parts),
        Route("/overview/criticality", show_criticality),
        Route("/overview/failures", show_failures),
        Route("/overview/traffic.json", traffic_series),
    ),
)
