"""How long a failed job waits."""

from dataclasses import dataclass

from signalbox.core.errors import InvalidError
from signalbox.core.times import HOUR, MICROSECONDS

_MOST_DOUBLINGS = 40


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter: any span from 0 to ``base * 2**(attempt - 1)``, at most ``cap``.

    Full jitter spreads the jobs that one outage failed evenly, where a fixed delay would bring them all back at once
    ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). Spans are microseconds.
    """

    base: int = MICROSECONDS
    cap: int = HOUR

    def __post_init__(self) -> None:
        if not 0 <= self.base <= self.cap:
            msg = "the base of a back-off is at least 0 and not above its cap"
            raise InvalidError(msg)

    def longest(self, attempt: int) -> int:
        """The upper end of the wait after the ``attempt``-th attempt (from 1 on) has failed."""
        return min(self.cap, self.base << min(attempt - 1, _MOST_DOUBLINGS))

    def delay(self, attempt: int, fraction: float) -> int:
        """The wait after the ``attempt``-th attempt; ``fraction`` from 0 to 1 is the throw of the dice."""
        return round(self.longest(attempt) * fraction)
