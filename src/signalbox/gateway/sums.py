"""What many calls of one kind add up to."""

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

from signalbox.gateway.schemas import CallRow
from signalbox.infra.telemetry import Histogram

Key = tuple[str, str, str, int]
"""A kind of calls: upstream, route, method, status."""


CREATED_AT: Final = 0
MICROS: Final = 6
REQUEST_BYTES: Final = 7
RESPONSE_BYTES: Final = 8
"""Places in a row: by name, each value of a named tuple costs several times as much."""

key_of: Callable[[CallRow], Key] = operator.itemgetter(3, 2, 4, 5)
"""The kind of a call."""


class Sums:
    """Number, time, bytes and durations of calls."""

    __slots__ = ("count", "latency", "micros", "request_bytes", "response_bytes")

    def __init__(self) -> None:
        self.count = self.micros = self.request_bytes = self.response_bytes = 0
        self.latency = Histogram()

    def add_all(self, calls: Sequence[CallRow]) -> None:
        """Add calls of this kind."""
        micros = [call[MICROS] for call in calls]
        self.count += len(calls)
        self.micros += sum(micros)
        self.request_bytes += sum([call[REQUEST_BYTES] for call in calls])
        self.response_bytes += sum([call[RESPONSE_BYTES] for call in calls])
        self.latency.add_all(micros)

    def merge(self, other: "Sums") -> None:
        """Add another's sums."""
        self.count += other.count
        self.micros += other.micros
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes
        self.latency.merge(other.latency)

    def to_row(self, key: Key) -> dict[str, Any]:
        """Columns of a roll-up, without its time."""
        upstream, route, method, status = key
        return {
            "upstream": upstream,
            "route": route,
            "method": method,
            "status": status,
            "count": self.count,
            "micros": self.micros,
            "request_bytes": self.request_bytes,
            "response_bytes": self.response_bytes,
            "latency": self.latency.to_bytes(),
        }

    @classmethod
    def from_columns(cls, count: int, micros: int, request_bytes: int, response_bytes: int, latency: bytes) -> "Sums":
        """The sums that ``to_row`` wrote."""
        made = cls()
        made.count, made.micros = count, micros
        made.request_bytes, made.response_bytes = request_bytes, response_bytes
        made.latency = Histogram.from_bytes(latency)
        return made
