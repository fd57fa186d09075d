"""How much one transaction of an import takes, and how long the lock is left between two of them.

On SQLite others wait for the lock. They do not queue: another process looks for it in steps that grow to 100 ms, and finds
it only where it happens to be free.
"""

from typing import Final

ALONE: Final = 0.08
"""Seconds that a transaction should take while nobody else writes."""
BESIDE: Final = 0.04
"""The same beside others."""
REMEMBERED: Final = 10.0
"""Seconds after which others, of whom nothing was seen, are forgotten."""


class Pace:
    """How much one transaction takes, so that it takes about ``goal`` seconds. ``bounds``: at least and at most."""

    def __init__(self, bounds: tuple[int, int]) -> None:
        self._least, self._most = bounds
        self.amount = min(self._most, self._least * 16)

    def adjust(self, amount: int, seconds: float, *, goal: float = BESIDE) -> None:
        """Take into account how long so much took."""
        wanted = int(amount * goal / max(seconds, 0.001))
        self.amount = max(self._least, min(self._most, wanted, self.amount * 2))


class Turns:
    """Whether others write too, and so how long to hold the lock and to leave it."""

    def __init__(self) -> None:
        self._seen: int | None = None
        self._until = 0.0

    def look(self, commits: int, *, now: float) -> None:
        """Take note of ``store.commits_of_others`` at a time in seconds."""
        if self._seen is not None and commits != self._seen:
            self._until = now + REMEMBERED
        self._seen = commits

    def goal(self, *, now: float) -> float:
        """Seconds that the next transaction should take."""
        return BESIDE if now < self._until else ALONE

    def pause(self, *, held: float, left: float, now: float) -> float:
        """Seconds to wait before the next one: beside others the lock is left as long as it was held."""
        return max(0.0, held - left) if now < self._until else 0.0
