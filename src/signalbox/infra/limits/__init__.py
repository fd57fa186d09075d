"""The seam to limits on how often something may be done: exact sliding windows.

A *demand* is a key and a rate: "one permit for ``key``, of which there are at most ``rate.limit`` in any
``rate.window``". A permit granted at ``t`` counts at every moment from ``t`` on and before ``t + window``; at ``t +
window`` it is back. So no half-open window ``[x, x + window)``, wherever it begins, holds more grants than the limit.
A key has a log of its own for each rate: the same key under another rate is another counter.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from signalbox.core.rates import Rate

Demands = Mapping[str, Rate]
"""Rate by key; all of them are granted, or none is."""


Quota = tuple[int, int]
"""How a demand stands: the permits that can be had at once, 0 if it refused; and the microseconds until there is one
more, 0 where none is in use. No named tuple, for one is made for each demand of each call."""


class Verdict(NamedTuple):
    """What came of presenting demands."""

    allowed: bool
    """Whether every demand had room; only then was a permit of each taken."""
    refused_by: str | None
    """The key, among those without room, that has to be waited for longest; None if allowed."""
    retry_after: int
    """Microseconds until the same demands would be granted, if nobody else asks in between; 0 if allowed."""
    quotas: list[Quota]
    """How each demand stands, in their order."""


class KeyUsage(NamedTuple):
    """How much of its limit a key uses."""

    key: str
    used: int
    """Permits that count at present."""


class Usage(NamedTuple):
    """How the keys of a limit stand."""

    keys: int
    """Keys with permits that count at present."""
    fullest: list[KeyUsage]
    """Those that use most, most first."""


class Limiter(Protocol):
    """Grants permits. Time is the implementation's own and never runs backwards: a clock that steps back frees none."""

    async def take(self, demands: Demands) -> Verdict:
        """Take one permit of each demand if all have room, otherwise none, in one atomic step.

        Raises:
            InvalidError: a limit is larger than the implementation can count exactly.
        """
        ...

    async def usage(self, prefix: str, rate: Rate, *, top: int = 10) -> Usage:
        """How the keys that begin with ``prefix`` stand under a rate, with the ``top`` fullest of them.

        For status pages: it looks at every key of the rate.
        """
        ...


class LocalLimiter(Limiter, Protocol):
    """A limiter that keeps its permits in this process, and can therefore answer without waiting."""

    def take_now(self, demands: Demands, now: int) -> Verdict:
        """As ``take``, at ``now``: ``clock.monotonic()`` in microseconds, as the implementation reads it itself.

        A ``now`` before the latest one seen counts as that one. ``retry_after`` and ``quotas`` count from the ``now``
        given.
        """
        ...
