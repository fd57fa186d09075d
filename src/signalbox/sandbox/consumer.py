"""Simulated consumers: apps that ask for a level, about so often, as simply as such apps do."""

import asyncio
import contextlib
import random
from collections.abc import Callable

from signalbox.client import AsyncClient, Change, UnreachableError

OnAnswer = Callable[[str, Change | UnreachableError | None], None]
"""Called with the app and what it was told: a change, nothing, or why there was no answer."""


async def consume(
    url: str,
    *,
    token: str,
    apps: int,
    rate: float,
    jitter: float,
    signal: str,
    on_answer: OnAnswer,
    dice: random.Random,
) -> None:
    """Run ``apps`` consumers, which ask ``rate`` times a second in all, until cancelled.

    ``jitter``: by which part of it, 0 to 1, each pause is longer or shorter.

    Raises:
        RefusedError: the hub does not let them ask.
    """
    async with asyncio.TaskGroup() as group:
        for number in range(apps):
            client = AsyncClient(url, token=token, app=f"consumer-{number}", signal=signal)
            own = random.Random(dice.random())
            group.create_task(
                _ask_for_ever(
                    client, f"consumer-{number}", pause=apps / rate, jitter=jitter, on_answer=on_answer, dice=own
                )
            )


async def fall_silent(url: str, *, token: str, app: str, signal: str, asks: int, pause: float) -> None:
    """Be a consumer that gets ``asks`` answers, ``pause`` seconds apart, and then never asks again.

    Raises:
        RefusedError: the hub does not let it ask.
    """
    async with AsyncClient(url, token=token, app=app, signal=signal) as client:
        answers = 0
        while answers < asks:
            with contextlib.suppress(UnreachableError):
                await client.ask()
                answers += 1
            await asyncio.sleep(pause)


async def _ask_for_ever(
    client: AsyncClient, app: str, *, pause: float, jitter: float, on_answer: OnAnswer, dice: random.Random
) -> None:
    await asyncio.sleep(pause * dice.random())
    async with client:
        while True:
            try:
                on_answer(app, await client.ask())
            except UnreachableError as error:
                on_answer(app, error)
            await asyncio.sleep(pause * dice.uniform(1 - jitter, 1 + jitter))
