"""The machine's own clock."""

import time


class SystemClock:
    """Reads the operating system's clocks."""

    def now(self) -> int:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    monotonic = staticmethod(time.monotonic)
    """Seconds from an arbitrary start, never going back."""
