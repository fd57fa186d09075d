"""Claims of one process, in groups: while one is written, the next gathers."""

import asyncio
from collections.abc import Iterable, Sequence

from signalbox.criticality.models import Current
from signalbox.criticality.service import ask
from signalbox.criticality.service.ask import Claims
from signalbox.criticality.store import Pair
from signalbox.infra.context import Context

AT_ONCE = 1_000
"""Claims in one statement."""

Answer = tuple[Current | None, bool]
"""What the signal stands at, None where no level was set; and whether it is this caller's to tell the app."""


class Claimer:
    """Asks the database whom to tell. Of callers with the same app and signal at most one is to."""

    def __init__(self, context: Context) -> None:
        self._db, self._clock = context.db, context.clock
        self._waiting: dict[Pair, list[asyncio.Future[Answer]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def claim(self, pair: Pair) -> Answer:
        """What the signal stands at, and whether the app has not been told of it yet.

        Raises:
            DatabaseUnavailableError: the database is away.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(pair, []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await future

    async def claim_all(self, pairs: Sequence[Pair]) -> Claims:
        """What their signals stand at, and which apps have not been told of it yet; in one statement.

        Raises:
            DatabaseUnavailableError: the database is away.
        """
        return await self._db.write(ask.claim, pairs, now=self._clock.now())

    async def close(self) -> None:
        """End once nobody waits."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        await asyncio.sleep(0)  # whoever is woken by the same change asks in the same turn of the loop
        while self._waiting:
            group = {pair: self._waiting[pair] for pair in list(self._waiting)[:AT_ONCE]}
            for pair in group:
                del self._waiting[pair]
            try:
                claims = await self.claim_all(list(group))
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are to know
                _fail(group.values(), error)
            else:
                for pair, futures in group.items():
                    _settle(futures, claims.current.get(pair[1]), won=pair in claims.won)
        self._task = None


def _settle(futures: Iterable[asyncio.Future[Answer]], current: Current | None, *, won: bool) -> None:
    """The first who still waits is to tell the app, the others are not."""
    for future in futures:
        if not future.done():
            future.set_result((current, won))
            won = False


def _fail(groups: Iterable[list[asyncio.Future[Answer]]], error: Exception) -> None:
    for future in (future for futures in groups for future in futures):
        if not future.done():
            future.set_exception(error)
