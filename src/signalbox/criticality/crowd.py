"""Who waits for a change in this process: all are claimed together, and each is woken once, with its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from signalbox.core.asgi import Receive, until_gone
from signalbox.core.drain import Drain
from signalbox.core.waiters import LIMIT, TooManyWaitersError
from signalbox.criticality.models import Current
from signalbox.criticality.service.ask import Claims
from signalbox.criticality.store import Pair
from signalbox.criticality.view import Known

AT_ONCE = 1_000
"""Apps in one statement."""

Claim = Callable[[Sequence[Pair]], Awaitable[Claims]]
"""Asks the database which apps are to be told of what their signals stand at."""
Take = Callable[[Current], Known]
"""Takes what a signal stands at into memory; what is known of it then, with the answer that tells of it."""


class Waiter:
    """An ask that waits; ``since`` is what the app says it has, None where it does not say.

    While its app is being claimed it is held: the database may say any moment that the app has been told, so the ask must
    be there to tell it. One that is to end with nothing meanwhile is leaving, and ends when it is let go.
    """

    def __init__(self, pair: Pair, since: int | None) -> None:
        self.pair, self.since = pair, since
        self.told: asyncio.Future[Known | None] = asyncio.get_running_loop().create_future()
        self.leaving = False
        self._held = False

    def hold(self) -> None:
        """Keep it until it is let go, or told something."""
        self._held = True

    def let_go(self) -> None:
        """End the waiting now if it was to end meanwhile."""
        self._held = False
        if self.leaving:
            self.tell(None)

    def tell(self, known: Known | None) -> None:
        """End the waiting; of several times the first counts."""
        if known is None and self._held:
            self.leaving = True
        elif not self.told.done():
            self.told.set_result(known)

    def fail(self, error: Exception) -> None:
        """End the waiting with an error."""
        if not self.told.done():
            self.told.set_exception(error)


class Crowd:
    """Those who wait, at most ``limit``. A change costs a statement for each thousand apps, and no task for any."""

    def __init__(self, drain: Drain, claim: Claim, take: Take, *, limit: int = LIMIT) -> None:
        self._drain, self._claim, self._take, self._limit = drain, claim, take, limit
        self._by_signal: dict[str, dict[Pair, dict[Waiter, None]]] = {}
        self._count = 0
        self._stirred: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None
        drain.listen(self._release)

    def __len__(self) -> int:
        """How many wait."""
        return self._count

    def pairs(self) -> Iterator[Pair]:
        """The apps that wait, with their signals."""
        for apps in self._by_signal.values():
            yield from apps

    async def wait(
        self,
        pair: Pair,
        since: int | None,
        timeout: float,  # noqa: ASYNC109 - no cancellation: to hear nothing is an answer
        *,
        receive: Receive | None = None,
    ) -> Known | None:
        """The next change that is news to an app, which was told of all before.

        None after ``timeout`` seconds, when the process drains, or when the client of ``receive`` has left.

        Raises:
            TooManyWaitersError: ``limit`` wait already.
            DatabaseUnavailableError: there is a change, and the database is away.
        """
        loop = asyncio.get_running_loop()
        with self._joined(pair, since) as waiter:
            timer = loop.call_later(timeout, waiter.tell, None)
            if receive is not None:  # it ends by itself with the answer: to cancel it would cost those behind it time
                watch = loop.create_task(until_gone(receive))
                watch.add_done_callback(lambda _: waiter.tell(None))
            try:
                return await waiter.told
            finally:
                timer.cancel()

    def stir(self, signal: str) -> None:
        """A signal has changed: tell those who wait for it."""
        if signal not in self._by_signal:
            return
        self._stirred[signal] = None
        if self._task is None:
            self._task = asyncio.create_task(self._tell_all())

    async def close(self) -> None:
        """End once everybody is told."""
        if self._task is not None:
            await self._task

    @contextmanager
    def _joined(self, pair: Pair, since: int | None) -> Iterator[Waiter]:
        if self._count >= self._limit:
            msg = f"{self._limit} callers wait already; ask again without waiting"
            raise TooManyWaitersError(msg)
        waiter = Waiter(pair, since)
        if self._drain.begun:
            waiter.tell(None)
        self._count += 1
        self._by_signal.setdefault(pair[1], {}).setdefault(pair, {})[waiter] = None
        try:
            yield waiter
        finally:
            self._leave(waiter)

    def _leave(self, waiter: Waiter) -> None:
        self._count -= 1
        pair = waiter.pair
        apps = self._by_signal[pair[1]]
        waiters = apps[pair]
        del waiters[waiter]
        if not waiters:
            del apps[pair]
        if not apps:
            del self._by_signal[pair[1]]

    def _release(self) -> None:
        for waiter in self._waiting(list(self.pairs())):
            waiter.tell(None)

    def _waiting(self, pairs: Sequence[Pair]) -> list[Waiter]:
        found = (self._by_signal.get(pair[1], {}).get(pair, {}) for pair in pairs)
        return [waiter for waiters in found for waiter in waiters]

    async def _tell_all(self) -> None:
        try:
            while self._stirred:
                signal = next(iter(self._stirred))
                del self._stirred[signal]
                waiting = iter(list(self._by_signal.get(signal, ())))
                while pairs := list(islice(waiting, AT_ONCE)):
                    await self._tell(pairs)
        finally:
            self._task = None  # whatever has happened, the next change is to be told

    async def _tell(self, pairs: Sequence[Pair]) -> None:
        held = [waiter for waiter in self._waiting(pairs) if not waiter.told.done()]
        if not held:  # for one who has left nothing may be claimed
            return
        for waiter in held:
            waiter.hold()
        try:
            await self._tell_held(list({waiter.pair: None for waiter in held}))
        finally:
            for waiter in held:
                waiter.let_go()

    async def _tell_held(self, pairs: Sequence[Pair]) -> None:
        try:
            claims = await self._claim(pairs)
            known = {name: self._take(current) for name, current in claims.current.items()}
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are to know
            for waiter in self._waiting(pairs):
                waiter.fail(error)
            return
        for pair in pairs:
            if pair[1] in known:
                _settle(self._waiting([pair]), known[pair[1]], won=pair in claims.won)


def _settle(waiters: Sequence[Waiter], known: Known, *, won: bool) -> None:
    """Tell those who said that they have something else, and one of the others if nobody has told the app yet.

    Those who are leaving come last: the client of such a one may be gone.
    """
    for waiter in sorted(waiters, key=lambda each: each.leaving):
        wanted = won or waiter.since not in {None, known.revision}
        if wanted and not waiter.told.done():
            waiter.tell(known)
            won = False
