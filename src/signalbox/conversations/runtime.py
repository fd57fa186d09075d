"""What a process keeps of conversations in memory: the arrays of the live version, and answers."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection

from signalbox.conversations import models, store
from signalbox.conversations.arrays import from_bytes
from signalbox.conversations.importing import CHANNEL
from signalbox.conversations.searching import Searcher, nothing
from signalbox.conversations.settings import ConversationSettings
from signalbox.core.beat import until_beat
from signalbox.core.errors import UnavailableError
from signalbox.infra.cache import Cache
from signalbox.infra.context import Context

LOOK: Final = 0.5
"""Seconds between two looks for another version: of those by commands on SQLite nothing else tells."""
STAMP: Final = 12
"""Digits of the fingerprint of a version's files that its answers carry in their keys."""
KEPT: Final = 86_400.0
"""Seconds that an answer is kept; another version has other keys."""

_log = logging.getLogger(__name__)


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """An answer."""

    body: bytes
    next: int | None = None
    """Where the next rows of a list begin."""


Compute = Callable[[Connection, Searcher], Kept]


class KeptCodec:
    """How answers lie in a cache."""

    def encode(self, value: Kept) -> bytes:
        """See ``Codec.encode``."""
        return msgspec.msgpack.encode(value)

    def decode(self, data: bytes) -> Kept:
        """See ``Codec.decode``."""
        return msgspec.msgpack.decode(data, type=Kept)  # its errors are ValueErrors

    def size(self, value: Kept) -> int:
        """See ``Codec.size``."""
        return len(value.body) + 100


class ConversationRuntime:
    """Answers from the live version. One that goes live elsewhere is noticed within a second."""

    def __init__(self, context: Context, settings: ConversationSettings, cache: Cache[Kept]) -> None:
        self.context, self.settings, self._cache = context, settings, cache
        self._searcher: Searcher | None = None
        self._loading = asyncio.Lock()
        self._flights: dict[bytes, asyncio.Future[Kept]] = {}
        self._hint = asyncio.Event()
        self._forget: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to look for versions. Arrays are loaded when somebody asks."""
        self._forget = self.context.broadcast.subscribe(CHANNEL, lambda _: self._hint.set())
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """End."""
        if self._forget is not None:
            self._forget()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._cache.close()

    async def searcher(self) -> Searcher:
        """The version to answer from."""
        return self._searcher or await self.refresh()

    async def refresh(self) -> Searcher:
        """Load the version that is live now, unless it is loaded."""
        async with self._loading:
            known = self._searcher
            if known is None or await self.context.db.read(store.current_import) != known.version:
                self._searcher = known = await self.context.db.read(load)
            return known

    async def answer(self, key: bytes, searcher: Searcher, compute: Compute) -> Kept:
        """The answer under a key: from the cache, from somebody who is computing it already, or computed now."""
        found = await self._cache.get(key)
        if found is not None:
            return found
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.ensure_future(self._compute(key, searcher, compute))
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        return await asyncio.shield(flight)

    async def _compute(self, key: bytes, searcher: Searcher, compute: Compute) -> Kept:
        found = await self.context.db.read(compute, searcher)
        await self._cache.set(key, found, ttl=KEPT)
        return found

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until_beat(LOOK)):
                    await self._hint.wait()
            self._hint.clear()
            if self._searcher is None:
                continue
            try:
                await self.refresh()
            except UnavailableError as error:
                _log.warning("the version of conversations cannot be looked up", extra={"reason": str(error)})
            except Exception:  # noqa: BLE001 - what is loaded is answered from, and the next look may succeed
                _log.exception("a version of conversations cannot be loaded")


def load(tx: Connection) -> Searcher:
    """The live version, with its arrays."""
    version = store.current_import(tx)
    of = store.find_import(tx, version)
    if of is None:
        return nothing()
    companies = store.read_names(tx, version, models.company)
    tags = store.read_names(tx, version, models.tag)
    arrays = from_bytes(store.read_arrays(tx, version))
    return Searcher(version, arrays, companies, tags, stamp=(of.fingerprint or "")[:STAMP])
