"""What the public status page says: words and shares, never errors, addresses or numbers of calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from signalbox.console import health
from signalbox.console.services import Services
from signalbox.core.times import HOUR, to_datetime
from signalbox.gateway import service as statistics
from signalbox.gateway.schemas import Filters
from signalbox.infra.jobs import read_backlog

Condition = Literal["ok", "warning", "bad"]

HOURS = 24
KEPT = 10.0
"""Seconds that what was found is good for, so that the public cannot keep the database busy."""
TROUBLED, DOWN = 0.05, 0.5
"""Shares of failed calls in an hour from which it counts as troubled, and as down."""

WORDS: dict[Condition, str] = {"ok": "works", "warning": "has trouble", "bad": "is down"}
SUMMARIES: dict[Condition, str] = {
    "ok": "Everything works",
    "warning": "Some parts have trouble",
    "bad": "A part is down",
}
BADGES: dict[Condition, str] = {"ok": "operational", "warning": "degraded", "bad": "down"}


@dataclass(frozen=True, slots=True)
class PublicPart:
    """One line of the page."""

    name: str
    condition: Condition
    hours: tuple[Condition | None, ...] = ()
    """The last day, the oldest hour first; None: nothing is known, as nobody called."""
    share: float | None = None
    """Of calls in the last day that did not fail, 0 to 1; None without calls."""

    @property
    def word(self) -> str:
        """The condition as people read it."""
        return WORDS[self.condition]


@dataclass(frozen=True, slots=True)
class PublicStatus:
    """All of it."""

    parts: tuple[PublicPart, ...]

    @property
    def condition(self) -> Condition:
        """That of the worst part."""
        return worst([part.condition for part in self.parts])

    @property
    def summary(self) -> str:
        """One sentence."""
        return SUMMARIES[self.condition]

    @property
    def badge(self) -> str:
        """One word."""
        return BADGES[self.condition]


def worst(conditions: Sequence[Condition]) -> Condition:
    """The worst of them; without any all is well."""
    return max(conditions, key=("ok", "warning", "bad").index, default="ok")


def condition_of(calls: int, failed: int) -> Condition | None:
    """How an hour was; None without calls."""
    if not calls:
        return None
    share = failed / calls
    return "bad" if share >= DOWN else "warning" if share >= TROUBLED else "ok"


class StatusBoard:
    """Finds it, at most once in ``KEPT`` seconds however many ask."""

    def __init__(self, services: Services, upstreams: Sequence[str]) -> None:
        self._services, self._upstreams = services, tuple(upstreams)

    async def read(self) -> PublicStatus:
        """What there is to say, at most ``KEPT`` seconds old."""
        return await self._services.kept.get("status", self._look, seconds=KEPT)

    async def _look(self) -> PublicStatus:
        readiness = await self._services.probe.ask()
        if health.database_part(readiness).state != "ok":
            away = ("Sign-on and API", "Background work", *self._upstreams)
            return PublicStatus(tuple(PublicPart(name, "bad" if name == away[0] else "warning") for name in away))
        context, now = self._services.context, self._services.context.clock.now()
        late = await context.db.read(_lateness, tuple(self._services.kinds), now)
        work = PublicPart("Background work", "warning" if late >= health.LATE else "ok")
        shown = [await self._upstream(name, now) for name in self._upstreams]
        return PublicStatus((PublicPart("Sign-on and API", "ok"), work, *shown))

    async def _upstream(self, name: str, now: int) -> PublicPart:
        hours = await self._services.context.calls_db.read(_hours_of, name, now)
        calls, failed = (sum(each[index] for each in hours) for index in (0, 1))
        conditions = tuple(condition_of(*each) for each in hours)
        present = "bad" if self._is_shut(name) else conditions[-1] or "ok"
        return PublicPart(name, present, conditions, 1 - failed / calls if calls else None)

    def _is_shut(self, name: str) -> bool:
        """Whether this process lets no call through to it."""
        gateway = self._services.gateway
        parts = None if gateway is None else gateway.parts.get(name)
        return parts is not None and parts.dispatcher.breaker.state == "open"


def _lateness(tx: Connection, kinds: tuple[str, ...], now: int) -> float:
    return health.add_up(read_backlog(tx, kinds, most=1), now=now).late


def _hours_of(tx: Connection, upstream: str, now: int) -> list[tuple[int, int]]:
    """Calls and failed calls of each of the last 24 hours, the present one included, the oldest first."""
    first = now // HOUR * HOUR - (HOURS - 1) * HOUR
    wanted = Filters(upstream=upstream, since=first)
    summary = statistics.summarize(tx, wanted, step="hour", by="status", now=now)
    hours = [[0, 0] for _ in range(HOURS)]
    for series in summary.series:
        for point in series.points:
            place = int((point.start - to_datetime(first)).total_seconds()) // 3_600
            hours[place][0] += point.totals.calls
            hours[place][1] += point.totals.calls if series.name.startswith("5") else 0
    return [(calls, failed) for calls, failed in hours]
