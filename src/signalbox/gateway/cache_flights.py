"""Answers on their way from the upstream into the cache, and the requests that wait for them.

A *flight* is one call upstream for which others wait, each for a bounded time and then for no longer. If it ends with
an answer that may be shared, all get that. If its answer may not be shared, all go upstream at once, as they would
without a cache, and for a while no others wait for such an answer. If it fails, or its client leaves, the one that
waited longest takes it over while the others wait on, so that a failing upstream gets one call at a time.

A *fill* is one answer that may be stored. What outdates it while it is under way keeps it from being stored.
"""

import asyncio
import enum
from collections import deque
from collections.abc import Awaitable, Callable

from signalbox.gateway.cache_control import Header
from signalbox.gateway.cache_entry import Entry
from signalbox.infra.http import Detached, Response


class Verdict(enum.Enum):
    """What one that waited for a flight is told, if not its answer."""

    LEAD = "lead"
    """Go upstream, and tell the others."""
    ALONE = "alone"
    """Go upstream, for yourself alone."""
    FAILED = "failed"
    """The upstream failed, and what is stored may be given in its place."""


Outcome = Entry | Verdict


class Flight:
    """One call upstream, and those that wait for its answer. Whoever makes it leads, and must end it."""

    __slots__ = ("_key", "_open", "_waiting")

    def __init__(self, key: bytes, flights: dict[bytes, "Flight"]) -> None:
        self._key, self._open = key, flights
        self._waiting: deque[asyncio.Future[Outcome]] = deque()
        flights[key] = self

    async def wait(self, seconds: float) -> Outcome:
        """What comes of it; ALONE where that takes longer."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(seconds):
                return await future
        except BaseException as error:
            if future.done() and not future.cancelled() and future.result() is Verdict.LEAD:
                self.hand_over()  # the lead came in the moment in which the waiting ended
            if isinstance(error, TimeoutError):
                return Verdict.ALONE
            raise

    def land(self, outcome: Outcome) -> None:
        """End it, and tell all that wait."""
        self._open.pop(self._key, None)
        for future in self._waiting:
            if not future.done():
                future.set_result(outcome)
        self._waiting.clear()

    def hand_over(self) -> None:
        """Let the one that has waited longest lead; where nobody waits, it ends."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(Verdict.LEAD)
                return
        self._open.pop(self._key, None)


class Fill:
    """One answer that may be stored; ``Fills.begin`` makes it, ``end`` or ``fail`` must be called (more do no harm)."""

    __slots__ = ("_done", "_fills", "_flight", "_key", "valid")

    def __init__(self, key: bytes, fills: dict[bytes, set["Fill"]], flight: Flight | None) -> None:
        self.valid = True
        """Whether nothing has outdated the answer since it was asked for."""
        self._key, self._fills, self._flight = key, fills, flight
        self._done = False

    @property
    def has_flight(self) -> bool:
        """Whether others may wait for it."""
        return self._flight is not None

    def end(self, outcome: Outcome) -> None:
        """Tell those that wait what came of it."""
        if self._leave() and self._flight is not None:
            self._flight.land(outcome if self.valid else Verdict.ALONE)

    def fail(self) -> None:
        """There is no answer; the next one tries."""
        if self._leave() and self._flight is not None:
            self._flight.hand_over()

    def _leave(self) -> bool:
        if self._done:
            return False
        self._done = True
        others = self._fills.get(self._key)
        if others is not None:
            others.discard(self)
            if not others:
                del self._fills[self._key]
        return True


class Fills:
    """The fills under way, by the key of their target."""

    def __init__(self) -> None:
        self._under_way: dict[bytes, set[Fill]] = {}

    def begin(self, key: bytes, flight: Flight | None) -> Fill:
        """Note an answer that was asked for."""
        fill = Fill(key, self._under_way, flight)
        self._under_way.setdefault(key, set()).add(fill)
        return fill

    def outdate(self, key: bytes) -> None:
        """What is under way for a target shows a state that is over."""
        for fill in self._under_way.get(key, ()):
            fill.valid = False

    def outdate_all(self, prefixes: tuple[bytes, ...]) -> None:
        """The same for all targets whose keys begin so."""
        for key in self._under_way:
            if key.startswith(prefixes):
                self.outdate(key)

    def __len__(self) -> int:
        return sum(map(len, self._under_way.values()))


class Copy:
    """A copy of a body that passes by, of at most ``limit`` bytes; ``keep`` takes it once it is whole."""

    __slots__ = ("_fill", "_keep", "_limit", "_pieces", "_size")

    def __init__(self, fill: Fill, limit: int, keep: Callable[[bytes], Awaitable[object]]) -> None:
        self._fill, self._limit, self._keep = fill, limit, keep
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> bool:
        """Take a piece; False where the body turns out too large, so that the copy is given up."""
        self._size += len(piece)
        if self._size > self._limit:
            self._pieces.clear()
            self._fill.end(Verdict.ALONE)
            return False
        self._pieces.append(piece)
        return True

    async def finish(self) -> None:
        """The body is whole."""
        try:
            await self._keep(b"".join(self._pieces))
        except BaseException:  # such as a client that leaves while the store takes it
            self._fill.fail()
            raise

    def give_up(self) -> None:
        """The body broke off, or its client left."""
        self._fill.fail()


class PassedAnswer:
    """An ``infra.http.Response`` on its way from the upstream to the client, copied as it passes or not."""

    __slots__ = ("_body", "_copy", "_response", "headers", "status")

    stored = False
    """Whether its headers are fit for the client but for the request id; here they are as they came."""

    def __init__(
        self, response: Response, headers: list[Header], *, body: bytes | None = None, copy: Copy | None = None
    ) -> None:
        self.status, self.headers = response.status, headers
        self._response, self._body, self._copy = response, body, copy

    @property
    def is_copied(self) -> bool:
        """Whether what is read goes into the cache."""
        return self._copy is not None

    def whole(self) -> bytes | None:
        """The body where all of it came with the head, and is not to be copied while it is read."""
        if self._body is not None or self._copy is not None:
            return self._body
        return self._response.whole()

    async def read(self) -> bytes:
        """The next piece; before the last, empty one comes back, the copy has been stored."""
        piece = await self._response.read()
        copy = self._copy
        if copy is None:
            return piece
        if not piece:
            self._copy = None
            await copy.finish()
        elif not copy.add(piece):
            self._copy = None
        return piece

    def detach(self) -> Detached:
        """See ``Response.detach``."""
        return self._response.detach()

    def close(self) -> None:
        """Give up what was not read."""
        self._response.close()
        if self._copy is not None:
            self._copy.give_up()
            self._copy = None
