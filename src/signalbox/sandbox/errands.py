"""A back-end that hands tasks over and a bot that asks for help, as long as the demo runs."""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from typing import Any

from signalbox.infra.http import HttpClient, HttpClientError, Request, parse_origin

TOPICS = ("sales", "sales", "pricing", "pricing", "delivery")
"""What customers ask about; ``delivery`` has no route of its own."""

_QUESTIONS = {
    "sales": "would like to order a hundred lamps and asks for an offer",
    "pricing": "does not understand the invoice of last month",
    "delivery": "waits for a parcel that should have come on Monday",
}
_NAMES = ("Ada", "Grace", "Edsger", "Barbara", "Donald", "Radia")


async def run_errands(url: str, *, client: HttpClient, token: str, tasks: float, questions: float) -> None:
    """Hand over ``tasks`` tasks and ask ``questions`` questions a second, on average, until cancelled.

    ``token`` is one of any app.
    """
    dice = random.Random(1)

    async def repeat(path: str, rate: float, make: Callable[[random.Random], dict[str, Any]]) -> None:
        while True:
            await asyncio.sleep(dice.expovariate(rate))
            with contextlib.suppress(HttpClientError):  # the hub is ending, or busy: the next errand comes soon
                await post(client, url + path, token, make(dice))

    async with asyncio.TaskGroup() as group:
        group.create_task(repeat("/api/tasks", tasks, _task))
        group.create_task(repeat("/api/assistance", questions, question))


async def post(client: HttpClient, url: str, token: str, body: Any) -> None:
    """Hand over JSON as a back-end with this token; the answer is read and not looked at.

    Raises:
        HttpClientError: the hub cannot be reached.
    """
    origin, path = parse_origin(url)
    headers = [(b"token", token.encode()), (b"app-name", b"back-end"), (b"content-type", b"application/json")]
    request = Request(origin=origin, method=b"POST", target=path, headers=headers, body=json.dumps(body).encode())
    response = await client.send(request)
    try:
        while response.whole() is None and await response.read():
            pass
    finally:
        response.close()


def _task(dice: random.Random) -> dict[str, Any]:
    return {"provider": "checks", "payload": {"address": f"10.{dice.randrange(256)}.{dice.randrange(256)}.1"}}


def question(dice: random.Random) -> dict[str, Any]:
    """What a customer asks, as the API takes it."""
    topic = dice.choice(TOPICS)
    name = dice.choice(_NAMES)
    return {"topic": topic, "customer": name, "description": f"{name} {_QUESTIONS[topic]}"}
