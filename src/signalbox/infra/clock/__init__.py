"""The seam to time: whoever needs the present is handed a ``Clock``, so that tests can move it."""

from typing import Protocol


class Clock(Protocol):
    """Tells the present."""

    def now(self) -> int:
        """Microseconds since 1970 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back; for measuring spans."""
        ...
