"""Wire types of statistics, and the values that travel between service and store."""

from typing import Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel

Step = Literal["minute", "hour", "day"]
Dimension = Literal["upstream", "route", "status"]


class Call(NamedTuple):
    """One recorded call, in the order of the table's columns."""

    created_at: int
    """When the request came, microseconds UTC."""
    path: str
    """As sent by the client, without the query."""
    route: str
    upstream: str
    """Empty where no upstream claimed the path."""
    method: str
    status: int
    """The answer's status; 499 where the client left before its end."""
    micros: int
    """From the head of the request to the end of the answer."""
    request_bytes: int
    response_bytes: int
    """Sizes of the bodies."""
    client: str
    app: str | None
    request_id: str


CallRow = tuple[int, str, str, str, str, int, int, int, int, str, str | None, str]
"""The values of a ``Call``: the plain tuple of the hot path, where making a named one would cost as much again."""


class CallOut(BaseModel):
    """One call as ``GET /api/statistics/`` lists it."""

    id: int
    path: str
    status_code: int
    seconds: float
    created_at: AwareDatetime
    method: str
    route: str
    upstream: str | None
    request_bytes: int
    response_bytes: int
    client: str
    app: str | None
    request_id: str


class Totals(BaseModel):
    """Sums over a set of calls."""

    calls: int
    succeeded: int
    """Answers below 400."""
    success_rate: float | None
    """``succeeded / calls``, 0 to 1; null without calls."""
    mean_seconds: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    request_bytes: int
    response_bytes: int


class Point(BaseModel):
    """One step of time."""

    start: AwareDatetime
    totals: Totals


class Series(BaseModel):
    """The points of one upstream, route or status; steps without calls are left out."""

    name: str
    points: list[Point]


class Summary(BaseModel):
    """``GET /api/statistics/summary``."""

    since: AwareDatetime
    until: AwareDatetime
    step: Step
    by: Dimension
    totals: Totals
    series: list[Series]


class HeatmapRow(BaseModel):
    """The calls of one step of time."""

    start: AwareDatetime
    counts: list[int]
    """How many took longer than the bound before and at most the bound at the same place; the last: longer than all."""


class Heatmap(BaseModel):
    """``GET /api/statistics/heatmap``: how long calls took, over time."""

    since: AwareDatetime
    until: AwareDatetime
    step: Step
    bounds: list[float]
    """Seconds, ascending."""
    rows: list[HeatmapRow]
    """In order of time; steps without calls are left out."""


class Filters(NamedTuple):
    """Which calls are asked for; None does not restrict."""

    upstream: str | None = None
    route: str | None = None
    method: str | None = None
    path_prefix: str | None = None
    status: tuple[int, int] | None = None
    """First and last status, both included."""
    since: int | None = None
    until: int | None = None
    """Microseconds UTC, since included, until excluded."""


class FailedCallOut(BaseModel):
    """One of the last calls that failed."""

    at: AwareDatetime
    method: str
    path: str
    outcome: str
    """Code of an error such as ``connect_failed``, or ``status 503``."""
    request_id: str


class BreakerOut(BaseModel):
    """The circuit breaker of an upstream."""

    state: Literal["closed", "open", "half_open"]
    reason: str
    since: AwareDatetime
    retry_at: AwareDatetime | None
    """When calls are let through to probe, where it is open."""
    calls: int
    failed: int
    """Calls of its window, and those of them that failed; 0 unless it is closed."""
    samples: list[FailedCallOut]


class TargetOut(BaseModel):
    """One server of an upstream."""

    url: str
    in_flight: int
    failures_in_a_row: int
    ejected_until: AwareDatetime | None
    """Until when it gets no calls because it failed too often; null where it does."""


class CounterOut(BaseModel):
    """Whose calls a limit counts."""

    key: str
    """Address or app; empty where all callers share one counter."""
    used: int


class LimitOut(BaseModel):
    """A limit and how it stands."""

    name: str
    """As in the headers ``RateLimit`` and ``RateLimit-Policy``."""
    by: str
    rate: str
    pattern: str | None
    counters: int
    """Counters in use."""
    fullest: list[CounterOut]
    """Those with most calls in the window."""


class CacheOut(BaseModel):
    """What the cache of an upstream did since this process began, or its settings changed."""

    hits: int
    """Answered without asking upstream."""
    misses: int
    bypassed: int
    """Sent upstream because their method or headers keep them out of the cache."""
    collapsed: int
    """Answered with what another call fetched at the same time."""
    stale: int
    """Answered with a stale answer: while it was fetched anew, or because the upstream failed."""
    revalidated: int
    stored: int
    invalidated: int


class Purged(BaseModel):
    """What was forgotten."""

    purged: int
    """Records: one for each answer, and one for each target whose answers differ by request headers."""


class UpstreamOut(BaseModel):
    """One upstream as this process sees it."""

    name: str
    access: Literal["open", "token"]
    host: str | None
    prefix: str | None
    in_flight: int
    """Calls under way."""
    seconds: float
    """The time that the figures below cover, at most the last minute."""
    calls: int
    calls_per_second: float
    error_rate: float | None
    """Share of calls that ended with a status from 500, 0 to 1; null without calls."""
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    breaker: BreakerOut
    cache: CacheOut | None
    """Null where answers are not cached."""
    targets: list[TargetOut]
    limits: list[LimitOut]


class TargetProbeOut(BaseModel):
    """How one server of an upstream answered a probe."""

    url: str
    status: int | None
    """Of its answer; null without one."""
    seconds: float
    """Until the head of the answer came, or until it was given up."""
    error: str | None
    """Why there was no answer: a code and what it means. Null with one."""


class ProbeOut(BaseModel):
    """``POST /api/upstreams/{name}/probe``."""

    upstream: str
    path: str
    """What was asked for, behind the path of each server's address."""
    targets: list[TargetProbeOut]
