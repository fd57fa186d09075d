"""What a process knows of levels without asking: what signals stand at, and which apps were told of it."""

from dataclasses import dataclass
from typing import Self

from signalbox.criticality.models import Current
from signalbox.criticality.store import Pair
from signalbox.criticality.wire import encode_level

MAX_TOLD = 200_000
"""Apps that are remembered to have been told; of more the longest known are forgotten, and the database asked."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a signal stands at, and the answer that tells of it."""

    current: Current
    revision: int
    body: bytes
    etag: bytes

    @classmethod
    def of(cls, current: Current) -> Self:
        """What is known with a level."""
        return cls(current, current.revision, encode_level(current), b'"%d"' % current.revision)


class View:
    """The memory of one process. It may be behind the database, never ahead of it."""

    def __init__(self, *, max_told: int = MAX_TOLD) -> None:
        self.known: dict[str, Known] = {}
        """By signal; those without a level are absent."""
        self._max_told = max_told
        self._told: dict[Pair, int] = {}

    def apply(self, current: Current) -> bool:
        """Take a level that was read or announced; False where as new a one is known."""
        known = self.known.get(current.signal)
        if known is not None and known.revision >= current.revision:
            return False
        self.known[current.signal] = Known.of(current)
        return True

    def has_nothing_for(self, pair: Pair) -> bool:
        """Whether an app was told of what its signal stands at, or there is nothing to tell."""
        known = self.known.get(pair[1])
        return known is None or self._told.get(pair, 0) >= known.revision

    def was_told(self, pair: Pair) -> bool:
        """Whether its signal has a level, and the app was told of it."""
        known = self.known.get(pair[1])
        return known is not None and self._told.get(pair, 0) >= known.revision

    def note_told(self, pair: Pair, revision: int) -> None:
        """Remember that the database says that an app was told of a revision, or of a later one."""
        if revision <= self._told.get(pair, 0):
            return
        if len(self._told) >= self._max_told and pair not in self._told:
            del self._told[next(iter(self._told))]
        self._told[pair] = revision
