"""A clock that stands still until it is moved."""


class ManualClock:
    """The memory version of the seam: tests move it by hand."""

    def __init__(self, now: int = 1_767_225_600_000_000) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> int:
        """Microseconds since 1970 UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds this clock has been advanced since it was made."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both readings forward."""
        self._now += round(seconds * 1_000_000)
        self._monotonic += seconds
