"""One beat for whatever looks around now and then, so that an idle process wakes seldom.

A process that wakes pays for it: its timer, the switch to it, and caches that have gone cold cost more than most looks
themselves. Loops that sleep each in their own time wake it as often as there are looks; on a common beat those of half
a second, a second and two seconds wake it together, and ask the database once for all of them.
"""

import random
import time

_PHASE = random.random()
"""Where this process is in the second: several that started together do not all ask their database at once."""

_AT_ONCE = 1 / 8
"""Of its length: a beat as near as that is the one that has just been heard, by a timer that rang early."""


def until_beat(seconds: float) -> float:
    """For how long to wait for the next beat of that length in seconds: an eighth of it up to nine eighths."""
    return beat_after(time.monotonic() + _PHASE, seconds)


def beat_after(now: float, seconds: float) -> float:
    """As ``until_beat``, from a moment ``now`` in seconds; beats are at the multiples of ``seconds``."""
    left = seconds - now % seconds
    return left if left > seconds * _AT_ONCE else left + seconds
