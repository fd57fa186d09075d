"""What criticality keeps in memory in each process, and how it stays as new as the database."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Connection

from signalbox.core.asgi import Receive
from signalbox.core.beat import until_beat
from signalbox.core.errors import UnavailableError
from signalbox.criticality.claims import Claimer
from signalbox.criticality.counter import AskCounter
from signalbox.criticality.crowd import Crowd
from signalbox.criticality.models import Current
from signalbox.criticality.service import ask
from signalbox.criticality.settings import CriticalitySettings
from signalbox.criticality.store import Pair
from signalbox.criticality.view import Known, View
from signalbox.criticality.wire import from_message, to_message
from signalbox.infra.context import Context

CHANNEL = "criticality"

POLL = 0.5
"""Seconds between looks at the database, for what no broadcast tells: changes by commands, and messages that got lost."""
PATIENCE = 3.0
"""Seconds that each step of such a look may take; then memory may be old, and the database is asked each time."""

LAST_WORDS = 30.0
"""Seconds for what is still to be told and written at the end."""

_log = logging.getLogger(__name__)


class CriticalityRuntime:
    """Answers asks. Only "nothing new" comes from memory; who is told of a change is decided by the database."""

    def __init__(
        self, context: Context, settings: CriticalitySettings, *, serves: bool = True, last_words: float = LAST_WORDS
    ) -> None:
        """``serves``: whether this process answers asks; one that only runs jobs speaks, and knows nothing itself.

        ``last_words``: seconds that ``close`` may take.
        """
        self.context, self.settings = context, settings
        self.view = View()
        self._serves, self._last_words, self._claimer = serves, last_words, Claimer(context)
        self.crowd = Crowd(context.drain, self._claimer.claim_all, self._known_of)
        self.counter = AskCounter(context, present=self.crowd.pairs)
        self.streams = 0
        """Streams that are open."""
        self.is_fresh = False
        """Whether memory is known to be as new as the database, but for a moment."""
        self._told = 0
        self._stamp: object = None
        """Of the database at the last look; while it is the same, nothing has changed."""
        self._look = asyncio.Event()
        self._forget: Callable[[], None] = _nothing
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to follow changes. With the database away too: asks are then refused until it is back."""
        if not self._serves:
            return
        self._forget = self.context.broadcast.subscribe(CHANNEL, self._hear)
        await self.synchronise()
        await self.counter.open()
        self._task = asyncio.create_task(self._follow())
        self.context.metrics.register(self)

    async def close(self) -> None:
        """Tell those who are being told, and write what was counted, as far as the database answers in time."""
        if self._task is None:
            return
        self._forget()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(self._last_words):
                await asyncio.gather(self.crowd.close(), self._claimer.close())
                await self.counter.close()
        except TimeoutError:
            _log.warning("not all of criticality is told and counted: the database did not answer in time")

    # -- asking -------------------------------------------------------------------------------------------------------

    def has_nothing_for(self, pair: Pair) -> bool:
        """Whether ``{}`` can be answered at once: no I/O, less than a microsecond."""
        return self.is_fresh and self.view.has_nothing_for(pair)

    def was_told(self, pair: Pair) -> bool:
        """Whether ``{}`` can be answered at once, about a signal that has a level."""
        return self.is_fresh and self.view.was_told(pair)

    async def ask(self, pair: Pair, *, since: int | None = None) -> Known | None:
        """What to tell an app, whose ask is answered with it; None: nothing new.

        With ``since``, the revision that the app says it has: whatever is newer, told before or not. One that was never
        given is of another database, as before a restore: the app is told what this one says.

        Raises:
            DatabaseUnavailableError: there may be something new, and the database is away.
        """
        if self.is_fresh and self._has_all(pair, since):
            return None
        current, won = await self._claimer.claim(pair)
        if current is None:
            return None
        known = self._known_of(current)
        self.view.note_told(pair, current.revision)
        if not won and since in {None, current.revision}:
            return None
        self._told += 1
        return known

    async def wait(
        self, pair: Pair, since: int | None, seconds: float, *, receive: Receive | None = None
    ) -> Known | None:
        """As ``ask``; where there is nothing new, what is within so many seconds. None too if the client leaves.

        Raises:
            TooManyWaitersError: as many wait already as may.
            DatabaseUnavailableError: as ``ask``.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            found = await self.ask(pair, since=since)
            left = until - loop.time()
            if found is not None or left <= 0:
                return found
            if self._has_all(pair, since):  # nothing has come while we asked
                found = await self.crowd.wait(pair, since, left, receive=receive)
                if found is not None:
                    self.view.note_told(pair, found.revision)
                    self._told += 1
                return found

    def _has_all(self, pair: Pair, since: int | None) -> bool:
        """Whether there is nothing for an app, as far as this process knows."""
        known = self.view.known.get(pair[1])
        if known is None:
            return True
        return self.view.has_nothing_for(pair) if since is None else since == known.revision

    # -- following ----------------------------------------------------------------------------------------------------

    def announce(self, tx: Connection, current: Current) -> None:
        """Tell all processes, once ``tx`` is committed, what a signal stands at."""
        self.context.broadcast.publish(tx, CHANNEL, to_message(current))

    async def synchronise(self) -> None:
        """Look at the database now; whether that worked is in ``is_fresh``."""
        try:
            async with asyncio.timeout(PATIENCE):
                levels = await self.context.db.read(ask.read_levels)
        except (UnavailableError, TimeoutError) as error:
            self._doubt(error)
            return
        for current in levels:
            self._take(current)
        self.is_fresh = True

    def collect(self) -> Iterator[Metric]:
        """Prometheus families."""
        levels = GaugeMetricFamily("signalbox_criticality_level", "What signals stand at.", labels=("signal",))
        for name, known in self.view.known.items():
            levels.add_metric((name,), known.current.level)
        yield levels
        yield CounterMetricFamily("signalbox_criticality_told", "Asks answered with a change.", self._told)
        yield GaugeMetricFamily("signalbox_criticality_waiting", "Asks that wait for a change.", len(self.crowd))
        yield GaugeMetricFamily("signalbox_criticality_streams", "Streams that are open.", self.streams)
        yield from self.counter.collect()

    def _take(self, current: Current) -> None:
        if self.view.apply(current):
            self.crowd.stir(current.signal)

    def _known_of(self, current: Current) -> Known:
        """Take a level that was read; a thousand who wait are told the same, so its answer is made once."""
        self._take(current)
        known = self.view.known[current.signal]
        return known if known.revision == current.revision else Known.of(current)

    def _hear(self, message: str | None) -> None:
        """A change in some process; None: maybe many, which the next look finds."""
        if message is None:
            self.is_fresh = False
            self._look.set()
            return
        try:
            self._take(from_message(message))
        except msgspec.MsgspecError:
            _log.exception("a message of another release was not understood")
            self.is_fresh = False
            self._look.set()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until_beat(POLL)):
                    await self._look.wait()
            self._look.clear()
            try:
                await self._look_again()
            except Exception:  # noqa: BLE001 - whatever it was, the next look must come
                _log.exception("levels cannot be read")
                self.is_fresh = False

    async def _look_again(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                stamp = await self.context.db.stamp()
        except (UnavailableError, TimeoutError) as error:
            self._doubt(error)
            stamp = None
        if self.is_fresh and stamp is not None and stamp == self._stamp:
            return
        await self.synchronise()
        self._stamp = stamp

    def _doubt(self, error: Exception) -> None:
        """Memory may be old from now on, since the database cannot be asked."""
        if self.is_fresh:
            reason = str(error) or type(error).__name__
            _log.warning("levels cannot be read; asks go to the database", extra={"reason": reason})
        self.is_fresh = False


def _nothing() -> None:
    """What there is to take back before anything was begun."""
