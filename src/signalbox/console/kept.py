"""What many open pages ask for is looked up once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from signalbox.infra.clock import Clock

T = TypeVar("T")

MOST = 200
"""Answers that are kept; of more the longest known are forgotten."""


@dataclass(slots=True)
class _Answer:
    value: Any = None
    until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Kept:
    """Answers of the last moments, the same for everybody who may see them. To be used in the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[Hashable, _Answer] = {}

    async def get(self, key: Hashable, look: Callable[[], Awaitable[T]], *, seconds: float) -> T:
        """What ``look`` finds, at most ``seconds`` old; whoever asks while somebody looks gets what that one finds.

        ``key`` tells apart what differs: the page, and whatever filters there are. What ``look`` raises is kept for nobody.
        """
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= MOST:
                del self._answers[next(iter(self._answers))]
            answer = self._answers[key] = _Answer()
        async with answer.lock:
            if self._clock.monotonic() >= answer.until:
                answer.value = await look()
                answer.until = self._clock.monotonic() + seconds
            value: T = answer.value
            return value
