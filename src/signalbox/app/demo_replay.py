"""A hub in the past: its clock is moved, and what was due meanwhile is done in order, by the handlers of any other day."""

import dataclasses
import time
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from signalbox.app.settings import Settings
from signalbox.core.times import HOUR, MICROSECONDS
from signalbox.gateway.recorder import Recorder
from signalbox.infra.clock import Clock
from signalbox.infra.context import Context
from signalbox.infra.db import Database
from signalbox.infra.events import Subscriber
from signalbox.infra.events.pump import AT_ONCE, DELIVER, Pump, hand_on
from signalbox.infra.http.recorded import RecordedClient
from signalbox.infra.jobs import Job, Kind
from signalbox.infra.jobs.outcomes import of_outcome
from signalbox.infra.jobs.queue import claim, next_due, record
from signalbox.infra.limits.budgets import Budgets

WORKER = "demo"
LEASE = HOUR


class PastClock:
    """Stands still until it is moved; spans within a moment are measured as they are."""

    def __init__(self, now: int) -> None:
        self._now = self._began = now

    def now(self) -> int:
        """Microseconds since 1970 UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that this clock was moved, and those that really passed."""
        return (self._now - self._began) / MICROSECONDS + time.monotonic()

    def move_to(self, moment: int) -> None:
        """Go on to a moment; never back."""
        self._now = max(self._now, moment)


def past_context(context: Context, settings: Settings, clock: Clock) -> tuple[Context, Recorder]:
    """The same world at another time, and who records the calls that the hub itself makes there."""
    outbound = RecordedClient(context.http, clock)
    budgets = Budgets(settings.budgets, context.db, clock, margin=settings.budget_margin)
    past = dataclasses.replace(context, clock=clock, outbound=outbound, budgets=budgets)
    recorder = Recorder(past, enabled=settings.gateway.statistics)
    outbound.listen(recorder.record_own)
    return past, recorder


class Replay:
    """Does what the workers and the event pump of a hub would have done by some moment."""

    def __init__(
        self, db: Database, clock: PastClock, kinds: Mapping[str, Kind], subscribers: Sequence[Subscriber]
    ) -> None:
        self._db, self._clock, self._subscribers = db, clock, tuple(subscribers)
        self._kinds = {**kinds, DELIVER: Pump(db, clock, subscribers).kind}

    async def run_to(self, moment: int) -> None:
        """Do all that is due by ``moment``; then it is that late. What is due later waits."""
        await self._hand_on()
        while (due := await self._next_due()) is not None and due <= moment:
            self._clock.move_to(due)
            for job in await self._db.write(self._claim, now=self._clock.now()):
                await self._do(job)
            await self._hand_on()
        self._clock.move_to(moment)

    async def _hand_on(self) -> None:
        while await self._db.write(hand_on, self._subscribers, now=self._clock.now(), limit=AT_ONCE) == AT_ONCE:
            pass

    async def _next_due(self) -> int | None:
        found = await self._db.read(next_due, list(self._kinds))
        return min(found.values(), default=None)

    def _claim(self, tx: Connection, *, now: int) -> list[Job]:
        return [job for kind in self._kinds for job in claim(tx, kind, worker=WORKER, limit=10, now=now, lease=LEASE)]

    async def _do(self, job: Job) -> None:
        kind = self._kinds[job.kind]
        report = of_outcome(job, await kind.handle(job))._replace(forgets=kind.forgets)
        await self._db.write(record, [report], now=self._clock.now())
