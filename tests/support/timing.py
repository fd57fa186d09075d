"""How long tests wait for what should happen at once."""

import asyncio
from collections.abc import Callable

PATIENCE = 20.0
"""Seconds after which what has not happened fails its test.

A wait ends as soon as the thing has happened, so patience costs nothing where all is well; it bears a machine that
halts for seconds. How quick things are is measured in ``bench/``, never here.
"""


async def until(condition: Callable[[], object], *, within: float = PATIENCE) -> None:
    """Wait until the condition holds; raises TimeoutError if it does not within so many seconds."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


async def settled(count: Callable[[], int]) -> int:
    """The number once it has not changed for a third of a second of which the machine was awake."""
    last, looks = count(), 0
    async with asyncio.timeout(PATIENCE):
        while looks < 10:
            await asyncio.sleep(0.03)  # short ones: of a machine that halts only one passes without anything happening
            last, looks = (last, looks + 1) if count() == last else (count(), 0)
    return last
