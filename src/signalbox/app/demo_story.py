"""What happened in the demo's past, one thing after another: each is done by the functions of its feature, at its time."""

import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NamedTuple

from signalbox.app.demo_tasks import PastTasks
from signalbox.core.ids import new_request_id
from signalbox.core.times import HOUR, MICROSECONDS, MINUTE
from signalbox.criticality import consumer_store, store
from signalbox.criticality.consumer_store import Asked
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.criticality.schemas import NewConsumer
from signalbox.criticality.service import consumers, silence
from signalbox.criticality.service.report import Report, report
from signalbox.criticality.store import Told
from signalbox.gateway.alarms import Alarms
from signalbox.gateway.breaker import Breaker, BreakerSettings, Failure
from signalbox.infra.context import Context
from signalbox.notifications.intake import accept
from signalbox.notifications.routing import Routing
from signalbox.notifications.schemas import NewMessage
from signalbox.sandbox.errands import question
from signalbox.sandbox.past_calls import Span, load_at

SIGNAL: Final = "default"
CONSUMERS: Final = tuple(f"consumer-{number}" for number in range(10))
SILENT: Final = "night-report"
"""The consumer that stops asking."""

_ASKS_EVERY: Final = 10 * MINUTE
_QUESTIONS_AN_HOUR: Final = 3.0
_TASKS_EVERY: Final = 40 * MINUTE
_LEVEL_EVERY: Final = 35 * MINUTE
_REASONS: Final = ("queues are short", "as usual", "more orders than usual", "a campaign has begun")

Act = Callable[[int], Awaitable[object]]
"""Makes something happen at a moment."""


class Scene(NamedTuple):
    """Something that happens."""

    at: int
    act: Act


class Story:
    """A day and all that happened in it, but for the calls through the gateway."""

    def __init__(
        self,
        context: Context,
        *,
        span: Span,
        outage: Span,
        routing: Routing,
        criticality: CriticalityRuntime,
        tasks: PastTasks,
    ) -> None:
        self._context, self._span, self._outage = context, span, outage
        self._routing, self._criticality, self._tasks = routing, criticality, tasks
        self._dice, self._level = random.Random(5), 1
        self._alarms = Alarms(context)
        self._breaker = Breaker(
            BreakerSettings(), "shop", now=context.clock.monotonic(), on_change=self._alarms.on_change
        )

    def scenes(self) -> list[Scene]:
        """All of it, in the order of time."""
        begins, ends = self._span
        silent_from = ends - 3 * HOUR
        found = [
            Scene(begins, self._begin),
            *(Scene(at, self._ask) for at in self._moments(_QUESTIONS_AN_HOUR)),
            *(Scene(at, self._hand_over) for at in self._regular(_TASKS_EVERY)),
            *(Scene(at, self._change_level) for at in self._regular(_LEVEL_EVERY) if not self._is_alarmed(at)),
            *(Scene(at, self._poll_by_silent) for at in range(begins + MINUTE, silent_from, _ASKS_EVERY)),
            Scene(silent_from + 2 * _ASKS_EVERY, self._notice_silence),
            Scene(self._outage.begins + 10 * MICROSECONDS, self._go_down),
            Scene(self._outage.begins + 2 * MINUTE, self._raise),
            Scene(self._outage.ends, self._come_up),
            Scene(self._outage.ends + 5 * MINUTE, self._lower),
        ]
        return sorted(found, key=lambda scene: scene.at)

    def _moments(self, rate: float) -> Iterator[int]:
        """About ``rate`` an hour, more when the day is busy."""
        at = self._span.begins
        while (at := at + round(self._dice.expovariate(rate * load_at(at)) * HOUR)) < self._span.ends:
            yield at

    def _regular(self, period: int) -> Iterator[int]:
        """One in each period, never two at the same moment, and none at the very end."""
        for at in range(self._span.begins, self._span.ends - period, period):
            yield at + self._dice.randrange(period // 2)

    def _is_alarmed(self, moment: int) -> bool:
        return self._outage.begins <= moment < self._outage.ends + 5 * MINUTE

    # -- messages and tasks -------------------------------------------------------------------------------------------

    async def _ask(self, now: int) -> None:
        asked = question(self._dice)
        new = NewMessage(asked["topic"], asked["description"], "api", app="back-end", customer=asked["customer"])
        await self._context.db.write(accept, new, routing=self._routing, now=now)

    async def _hand_over(self, now: int) -> None:
        await self._context.db.write(self._tasks.add, count=self._dice.randint(1, 4), now=now)

    # -- the gateway --------------------------------------------------------------------------------------------------

    async def _go_down(self, _now: int) -> None:
        moment = self._context.clock.monotonic()
        while self._breaker.state == "closed":
            request_id = new_request_id().decode()
            failure = Failure(moment, "GET", "/items/MLA7", "connect_failed", request_id)
            self._breaker.admit(moment).fail(failure)
        await self._alarms.close()

    async def _come_up(self, _now: int) -> None:
        moment = self._context.clock.monotonic()
        while self._breaker.state != "closed":
            self._breaker.admit(moment).succeed(moment)
        await self._alarms.close()

    # -- criticality --------------------------------------------------------------------------------------------------

    async def _begin(self, now: int) -> None:
        db = self._context.db
        await db.write(silence.begin, alone=True, now=now)
        new = NewConsumer(app=SILENT, signal=SIGNAL, interval="15m")
        await db.write(consumers.register, new, actor="demo", now=now)
        await self._report(1, "the day begins", now)

    async def _change_level(self, now: int) -> None:
        level = min(3, max(1, self._level + self._dice.choice((-1, 0, 1 if load_at(now) > 1 else -1))))
        await self._report(level, self._dice.choice(_REASONS), now)

    async def _raise(self, now: int) -> None:
        await self._report(5, "the shop does not answer", now)

    async def _lower(self, now: int) -> None:
        await self._report(2, "the shop answers again", now)

    async def _report(self, level: int, reason: str, now: int) -> None:
        self._level = level
        runtime = self._criticality
        said = Report(SIGNAL, level, now, f"producer-{self._dice.randrange(3)}", reason)
        db = self._context.db
        made = await db.write(report, said, settings=runtime.settings, announce=runtime.announce, now=now)
        told = [Told(app, SIGNAL, made.revision) for app in CONSUMERS]
        await db.write(store.claim, told, now=now + 2 * MICROSECONDS)

    async def _poll_by_silent(self, now: int) -> None:
        await self._context.db.write(consumer_store.note_asks, [Asked(SILENT, SIGNAL, 1, now)])

    async def _notice_silence(self, now: int) -> None:
        db = self._context.db
        await db.write(consumer_store.beat, alive_after=self._span.begins, now=now)  # it served all the time
        await db.write(silence.check, now=now)
