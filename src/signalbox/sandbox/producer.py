"""Simulated producers: apps that report levels, about so often, each with its own idea of calm."""

import asyncio
import random
from collections.abc import Callable

from signalbox.client import AsyncClient, Kept, UnreachableError

OnReport = Callable[[str, Kept | UnreachableError], None]
"""Called with the app and what became of its report, or why there was no answer."""

_STEPS = (-1, 0, 1)


async def produce(
    url: str,
    *,
    token: str,
    apps: int,
    rate: float,
    jitter: float,
    signal: str,
    on_report: OnReport,
    dice: random.Random,
) -> None:
    """Run ``apps`` producers, which report ``rate`` times a second in all, until cancelled.

    ``jitter``: by which part of it, 0 to 1, each pause is longer or shorter.

    Raises:
        RefusedError: the hub does not take what they report.
    """
    async with asyncio.TaskGroup() as group:
        for number in range(apps):
            client = AsyncClient(url, token=token, app=f"producer-{number}", signal=signal)
            own = random.Random(dice.random())
            group.create_task(
                _report_for_ever(
                    client, f"producer-{number}", pause=apps / rate, jitter=jitter, on_report=on_report, dice=own
                )
            )


async def _report_for_ever(
    client: AsyncClient, app: str, *, pause: float, jitter: float, on_report: OnReport, dice: random.Random
) -> None:
    level = 1
    await asyncio.sleep(pause * dice.random())
    async with client:
        while True:
            level = min(5, max(1, level + dice.choice(_STEPS)))
            try:
                on_report(app, await client.report(level, reason="simulated"))
            except UnreachableError as error:
                on_report(app, error)
            await asyncio.sleep(pause * dice.uniform(1 - jitter, 1 + jitter))
