"""``kill -9`` of servers and workers at random moments: no task is lost, and the provider gets none of them twice."""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.databases import PostgresqlServer
from tests.support.processes import Server, ask, serving, started, until

ROUNDS = int(os.environ.get("SIGNALBOX_TEST_CRASH_ROUNDS", "3"))
"""50 for a thorough run."""
TASKS = 30
"""In each round."""
LIMIT = "200/2s"


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[str]:
    """The address of a provider that takes every submission for a new one, and counts them by reference."""
    module = [sys.executable, "-m", "signalbox.sandbox.provider"]
    options = ["--limit", LIMIT, "--working", "0.3", "--not-idempotent"]
    with started([*module, *options], folder=tmp_path / "provider") as server:

        def address() -> str:
            return server.out.strip()

        yield until(address)


def settings(provider: str) -> dict[str, str]:
    acme = {
        "name": "acme",
        "kind": "http-json",
        "submit_url": f"{provider}/tasks",
        "submit_headers": {"Idempotency-Key": "{reference}"},
        "body": {"id": "{id}", "reference": "{reference}"},
        "lookup_url": f"{provider}/tasks?reference={{reference}}",
        "list_url": f"{provider}/tasks",
        "poll_interval": 0.3,
        "limits": [LIMIT],
    }
    return {
        "SIGNALBOX_AUTH__ANONYMOUS_SCOPES": '["tasks:write", "tasks:read"]',
        "SIGNALBOX_TASKS__PROVIDERS": json.dumps([acme]),
        "SIGNALBOX_TASKS__LOOKUP_AFTER": "1s",
        "SIGNALBOX_BUDGET_MARGIN": "1",  # others load this machine
    }


def report(provider: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(f"{provider}/control/report").json
    return found


def hand_over(server: Server, first: int) -> set[int]:
    """The ids of tasks that were answered with 201."""
    rows = [{"id": number, "provider": "acme"} for number in range(first, first + TASKS)]
    answer = ask(f"{server.url}/api/tasks/batch", method="POST", body=json.dumps(rows).encode())
    assert answer.status == 200, answer.text
    return {each["id"] for each in answer.json if each["status"] == 201}


def count(server: Server, status: str) -> int:
    """All tasks in this status: one page after the other."""
    address, found = f"/api/tasks?limit=500&status={quote(status)}", 0
    while True:
        answer = ask(server.url + address)
        found += len(answer.json)
        if "link" not in answer.headers:
            return found
        address = answer.headers["link"].partition("<")[2].partition(">")[0]


def check(server: Server, provider: str, accepted: set[int]) -> None:
    """All that was accepted is completed, and went to the provider once."""
    until(lambda: not count(server, "Not Started") and not count(server, "In Progress"), within=120 + 2 * ROUNDS)
    assert count(server, "Error") == 0
    assert count(server, "Completed") == len(accepted)
    seen = report(provider)
    print(f"{len(accepted)} tasks, calls: {seen['calls']}")  # noqa: T201 - look-ups tell of kills in the middle
    assert seen["doubles"] == {}
    assert seen["tasks"] == len(accepted)
    assert seen["violations"] == 0


@pytest.mark.timeout(200 + 20 * ROUNDS)
def test_a_server_that_is_killed_loses_no_task_and_submits_none_twice(provider: str, tmp_path: Path) -> None:
    dice, accepted = random.Random(), set[int]()
    variables = {**settings(provider), "SIGNALBOX_DATABASE_URL": f"sqlite:///{tmp_path}/signalbox.db"}
    for number in range(ROUNDS):
        with serving(folder=tmp_path / f"{number}", **variables) as server:
            accepted |= hand_over(server, number * TASKS + 1)
            time.sleep(dice.uniform(0, 0.1))
            assert server.end(signal.SIGKILL) == -signal.SIGKILL
    with serving(folder=tmp_path / "last", **variables) as server:
        check(server, provider, accepted)


@pytest.mark.timeout(200 + 20 * ROUNDS)
def test_workers_that_are_killed_lose_no_task_and_submit_none_twice(
    provider: str, postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    dice, accepted = random.Random(), set[int]()
    with ExitStack() as stack:
        place = stack.enter_context(postgresql_server.database())
        variables = {**settings(provider), "SIGNALBOX_DATABASE_URL": place.url}
        api = stack.enter_context(serving("--role", "api", folder=tmp_path / "api", **variables))

        def work(name: str) -> Server:
            return stack.enter_context(serving("--role", "worker", folder=tmp_path / name, **variables))

        workers = [work("first"), work("second")]
        for number in range(ROUNDS):
            accepted |= hand_over(api, number * TASKS + 1)
            time.sleep(dice.uniform(0, 0.3))
            victim = workers.pop(dice.randrange(2))
            assert victim.end(signal.SIGKILL) == -signal.SIGKILL
            workers.append(work(f"{number}"))
        check(api, provider, accepted)
