"""Hands events on: each becomes one job for each subscriber that wants it, in the transaction that marks it as taken.

Every process that runs jobs has a pump; each event goes through one of them. All have the same subscribers, as they
come with the release and the settings.
"""

import asyncio
import logging
from collections.abc import Sequence

from sqlalchemy import Connection

from signalbox.core.beat import until_beat
from signalbox.core.errors import InvalidError, UnavailableError
from signalbox.core.outage import OutageLog
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database
from signalbox.infra.events.outbox import find_event, has_new, take_new
from signalbox.infra.events.subscriber import Subscriber
from signalbox.infra.jobs import ABOUT, Done, Fail, Job, Kind, NewJob, Outcome, enqueue_many

DELIVER = "events.deliver"
"""The kind of the jobs that run subscribers."""

CONCURRENCY = 20
AT_ONCE = 200
"""Events that are handed on in one transaction."""
POLL = 1.0
"""Seconds after which the pump looks for events that nothing has told it of."""

_log = logging.getLogger(__name__)


class UnknownSubscriberError(Exception):
    """A job is for a subscriber that this process does not have: another release or other settings enqueued it."""


class Pump:
    """Takes new events from the outbox, and runs the subscribers for them."""

    def __init__(self, db: Database, clock: Clock, subscribers: Sequence[Subscriber]) -> None:
        self._db, self._clock = db, clock
        self._subscribers = {each.name: each for each in subscribers}
        if len(self._subscribers) < len(subscribers):
            msg = f"two subscribers have the same name: {', '.join(sorted(each.name for each in subscribers))}"
            raise InvalidError(msg)
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._outage = OutageLog(_log, "events wait for the database", "events are handed on again")
        self._stamp: object = None
        """Of the database at the last look; while it is the same, nothing has changed."""

    @property
    def kind(self) -> Kind:
        """How the jobs of kind ``DELIVER`` are run."""
        return Kind(self._deliver, concurrency=CONCURRENCY)

    def wake(self) -> None:
        """Look for new events at once."""
        self._news.set()

    def open(self) -> None:
        """Begin; needs a running event loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; what is new is handed on by another process, or the next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        told = True
        while True:
            self._news.clear()
            try:
                taken = await self._hand_on() if told or await self._finds_news() else 0
                self._outage.worked()
            except UnavailableError as error:
                self._outage.failed(error)
                taken = 0
            except Exception:  # noqa: BLE001 - one failure must not end the handing on for good
                _log.exception("events could not be handed on")
                taken = 0
            told = taken >= AT_ONCE or await self._hears_news()

    async def _hand_on(self) -> int:
        subscribers = tuple(self._subscribers.values())
        return await self._db.write(hand_on, subscribers, now=self._clock.now(), limit=AT_ONCE)

    async def _finds_news(self) -> bool:
        """Whether there are new events; not looked for where nothing has changed since the last look."""
        stamp = await self._db.stamp()
        if stamp == self._stamp:
            return False
        found = await self._db.read(has_new)
        self._stamp = None if found else stamp
        return found

    async def _hears_news(self) -> bool:
        """Wait for news, at most for ``POLL`` seconds; whether there was some."""
        try:
            async with asyncio.timeout(until_beat(POLL)):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _deliver(self, job: Job) -> Outcome:
        name, number = job.payload["subscriber"], job.payload["event"]
        subscriber = self._subscribers.get(name)
        if subscriber is None:
            msg = f"there is no subscriber {name!r} here"
            raise UnknownSubscriberError(msg)
        event = await self._db.read(find_event, number)
        if event is None:
            return Fail(f"event {number} has been deleted")
        now = self._clock.now()
        return Done(lambda tx: subscriber.handle(tx, event, now))


def hand_on(tx: Connection, subscribers: Sequence[Subscriber], *, now: int, limit: int) -> int:
    """Enqueue the jobs of at most ``limit`` events that nobody took yet, and mark these; how many events it were.

    An event that nobody wants is marked too: who subscribes later hears of later events.
    """
    events = take_new(tx, now=now, limit=limit)
    new = [
        NewJob(DELIVER, {"event": event.id, "subscriber": subscriber.name, ABOUT: event.topic})
        for event in events
        for subscriber in subscribers
        if subscriber.wants(event.topic)
    ]
    enqueue_many(tx, new, now=now)
    return len(events)
