"""Counts of the last seconds, in little memory."""

BUCKETS = 10
"""Parts of a window: what it counts are the last nine to ten tenths of its seconds."""


class CallWindow:
    """Counts calls of the last seconds, and how many of them are marked."""

    __slots__ = ("_calls", "_marked", "_number", "_slot", "_until", "_width")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        self._calls, self._marked = [0] * BUCKETS, [0] * BUCKETS
        self._number = self._slot = 0
        self._until = 0.0

    def count(self, now: float) -> None:
        """Count one call."""
        if now >= self._until:
            self._turn(now)
        self._calls[self._slot] += 1

    def count_marked(self, now: float) -> None:
        """Count one call that is marked."""
        if now >= self._until:
            self._turn(now)
        self._calls[self._slot] += 1
        self._marked[self._slot] += 1

    def totals(self, now: float) -> tuple[int, int]:
        """Calls, and those of them that are marked."""
        if now >= self._until:
            self._turn(now)
        return sum(self._calls), sum(self._marked)

    def _turn(self, now: float) -> None:
        number = int(now // self._width)
        for passed in range(max(self._number + 1, number - BUCKETS + 1), number + 1):
            self._calls[passed % BUCKETS] = self._marked[passed % BUCKETS] = 0
        self._number, self._slot = number, number % BUCKETS
        self._until = (number + 1) * self._width
