"""Deliveries that were accepted in this process a moment ago: making them needs no look into the database."""

from typing import Final

from signalbox.core.times import MICROSECONDS
from signalbox.notifications.store import Due

FRESH: Final = MICROSECONDS
"""Age beyond which what was handed over is not believed any more: its channel may have been paused since."""
CAPACITY: Final = 10_000


class Handover:
    """Remembers deliveries by their numbers, each until it is taken; only a hint.

    Threads that write put, the event loop takes: each is one step of a dictionary.
    """

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._kept: dict[int, Due] = {}
        self._capacity = capacity

    def put(self, due: Due) -> None:
        """Remember a delivery that is on disk. Where too many are, as other processes make them, all are forgotten."""
        if len(self._kept) >= self._capacity:
            self._kept.clear()
        self._kept[due.number] = due

    def take(self, number: int, *, now: int) -> Due | None:
        """What was handed over, once; None where it was not, or more than ``FRESH`` before ``now``."""
        due = self._kept.pop(number, None)
        return due if due is not None and now - due.since <= FRESH else None
