"""When a channel may send: its rate, its pauses, its retries. Pure functions; times are microseconds UTC."""

from collections.abc import Sequence
from typing import Final

from signalbox.core.rates import Rate
from signalbox.core.times import DAY, MICROSECONDS

MARGIN: Final = MICROSECONDS // 20
"""Added to the window of a rate: what is sent here a little early may arrive there a little late."""

OVERDUE: Final = 5 * MICROSECONDS
"""A retry that is later than this was held up by more than its neighbours, as by a restart."""

LONGEST_PAUSE: Final = DAY
_JITTER: Final = 0.2


def free_slots(sends: Sequence[int], rate: Rate, *, now: int) -> int:
    """How many more may be sent now, given when the last ones began."""
    begun = now - rate.window - MARGIN
    return max(0, rate.limit - sum(sent > begun for sent in sends))


def next_slot(sends: Sequence[int], rate: Rate, *, now: int) -> int:
    """When one more may be sent: now, or once the window has moved on far enough."""
    if free_slots(sends, rate, now=now) > 0:
        return now
    return sorted(sends)[-rate.limit] + rate.window + MARGIN


def add_send(sends: Sequence[int], rate: Rate, *, now: int) -> list[int]:
    """The moments to remember after one more was sent: as many as the rate lets through in a window."""
    return sorted([*sends, now])[-rate.limit :]


def turn(position: int, rate: Rate, *, at_once: int) -> int:
    """How long after the next slot it is the turn of what stands at ``position``, where ``at_once`` go in one message.

    An estimate that keeps a long queue from asking at every slot; who comes too early or late loses nothing.
    """
    return position // at_once * rate.window // rate.limit


def retry_delay(waits: Sequence[int], failures: int, fraction: float) -> int | None:
    """The wait after so many failures, varied by up to a fifth; None after the last.

    ``fraction`` from 0 to 1 is the throw of the dice.
    """
    if failures > len(waits):
        return None
    return round(waits[failures - 1] * (1 - _JITTER + 2 * _JITTER * fraction))


def pause_end(retry_after: float, *, now: int) -> int:
    """Until when a provider that said Retry-After is left alone; at least a second, at most a day."""
    seconds = min(max(retry_after, 1.0), LONGEST_PAUSE / MICROSECONDS)
    return now + round(seconds * MICROSECONDS)


def spread(due_at: int, *, now: int, over: int, fraction: float) -> int:
    """When a retry runs that was due at ``due_at``: at once, or within ``over`` where it is overdue."""
    return now if now - due_at <= OVERDUE else now + round(over * fraction)
