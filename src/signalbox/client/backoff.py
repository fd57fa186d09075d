"""How long to wait before a hub that did not answer is asked again."""

import random

FIRST = 0.5
LONGEST = 30.0
"""Seconds."""


class Backoff:
    """Exponential back-off with full jitter: many clients of a hub that comes back do not come back all at once."""

    def __init__(self, *, first: float = FIRST, longest: float = LONGEST, dice: random.Random | None = None) -> None:
        self._first, self._longest = first, longest
        self._dice = dice or random.Random()
        self._failures = 0

    def reset(self) -> None:
        """The hub has answered."""
        self._failures = 0

    def next(self, *, at_least: float | None = None) -> float:
        """Seconds to wait after one more failure; not less than the hub asked for."""
        limit = min(self._longest, self._first * 2 ** min(self._failures, 30))
        self._failures += 1
        return max(self._dice.uniform(0, limit), at_least or 0.0)
