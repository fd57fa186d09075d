"""``kill -9`` while messages flow: each one that was accepted arrives, and a repeated one has the id that it had before."""

import asyncio
import itertools
import json
import logging
import os
import random
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from signalbox.sandbox.receiver import ReceiverApp
from signalbox.sandbox.scripted import Received, Reply
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.slack import SlackApp
from tests.support.databases import PostgresqlServer
from tests.support.hub import Client, request
from tests.support.processes import Server, serving, until

CLIENTS = 8
MESSAGES = int(os.environ.get("SIGNALBOX_TEST_CRASH_MESSAGES", "100"))
"""Accepted in each round, before the kill."""
_MORE = os.environ.get("SIGNALBOX_TEST_CRASH_ROUNDS")
ROUNDS = {"sqlite": int(_MORE or 2), "postgresql": int(_MORE or 1)}  # there leases must first run out
_log = logging.getLogger(__name__)


class MoodyReceiver(ReceiverApp):
    """Fails every tenth request."""

    def answer(self, request: Received) -> Reply:
        return Reply(503) if self.count % 10 == 0 else super().answer(request)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A dialect and the address of an empty database."""
    if request.param == "sqlite":
        yield "sqlite", f"sqlite:///{tmp_path}/signalbox.db"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    with server.database() as place:
        yield "postgresql", place.url


def variables(database_url: str, hook: str, slack: str) -> dict[str, str]:
    hurry = {"retries": ["1s"] * 20}
    channels: list[Mapping[str, Any]] = [
        {"kind": "webhook", "name": "hook", "url": f"{hook}/in", **hurry},
        {"kind": "slack", "name": "slack", "webhook_url": f"{slack}/services/a", "rate": "20/1s", **hurry},
    ]
    return {
        "SIGNALBOX_DATABASE_URL": database_url,
        "SIGNALBOX_AUTH__ANONYMOUS_SCOPES": '["assistance", "user"]',
        "SIGNALBOX_NOTIFICATIONS__CHANNELS": json.dumps(channels),
        "SIGNALBOX_NOTIFICATIONS__ROUTES": '[{"topic": "*", "channels": ["hook", "slack"]}]',
        "SIGNALBOX_NOTIFICATIONS__RESTART_SPREAD": "1s",
    }


async def send(port: int, name: str, accepted: dict[str, str]) -> None:
    """Ask for assistance again and again until the connection breaks; description by id."""
    client = await Client.connect(port)
    try:
        for number in itertools.count():
            body = {"topic": "sales", "description": f"({name}-{number})"}
            await client.send(request(b"/api/assistance", method=b"POST", body=json.dumps(body).encode()))
            answer = await client.answer()
            if answer.status == 202:
                accepted[json.loads(answer.body)["id"]] = body["description"]
            await asyncio.sleep(0.02)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        await client.close()


async def send_until_killed(server: Server, name: str) -> dict[str, str]:
    accepted: dict[str, str] = {}
    port = int(server.url.rpartition(":")[2])
    senders = [asyncio.create_task(send(port, f"{name}.{number}", accepted)) for number in range(CLIENTS)]
    async with asyncio.timeout(30 + MESSAGES / 10):
        while len(accepted) < MESSAGES:
            await asyncio.sleep(0.005)
        await asyncio.sleep(random.uniform(0, 0.3))
        server.send(signal.SIGKILL)
        await asyncio.gather(*senders)
    return accepted


@pytest.mark.timeout(
    150 + (30 + MESSAGES / 5) * max(ROUNDS.values())
)  # processes start, die and start again on a busy machine
async def test_nothing_accepted_is_lost_and_repeats_have_equal_ids(database: tuple[str, str], tmp_path: Path) -> None:
    dialect, url = database
    hook, slack = MoodyReceiver(), SlackApp(interval=0.0)
    async with LoopbackServer(hook) as hook_server, LoopbackServer(slack) as slack_server:
        given = variables(url, hook_server.url, slack_server.url)
        accepted: dict[str, str] = {}
        for number in range(ROUNDS[dialect]):
            with serving(folder=tmp_path / f"{number}", **given) as server:
                await asyncio.to_thread(until, server.serves)
                accepted |= await send_until_killed(server, f"r{number}")
        with serving(folder=tmp_path / "last", **given) as server:
            await asyncio.to_thread(until, server.serves)
            async with asyncio.timeout(40 + MESSAGES * ROUNDS[dialect] / 10):
                while not (set(accepted) <= set(hook.ids) and _named(slack, accepted)):
                    await asyncio.sleep(0.1)
            await asyncio.to_thread(server.end)
    assert len(accepted) >= MESSAGES * ROUNDS[dialect]
    # what was accepted by the receiver and not yet recorded when a process died comes once more, under its id
    assert max(hook.ids.values()) <= 1 + ROUNDS[dialect]
    _log.info("%s: %d of %d came twice", dialect, hook.repeats, len(accepted))
    assert len(hook.ids) - len(accepted) <= CLIENTS * ROUNDS[dialect]  # accepted, but the answer did not get there


def _named(slack: SlackApp, accepted: Mapping[str, str]) -> bool:
    told = json.dumps(list(slack.messages))
    return all(description in told for description in accepted.values())
