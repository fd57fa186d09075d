"""Levels with real processes: two that agree, and ``kill -9`` after which numbers never repeat and told stays told."""

import asyncio
import itertools
import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import PostgresqlPlace, PostgresqlServer
from tests.support.hub import Client, request
from tests.support.processes import Server, ask, run, serving
from tests.support.timing import PATIENCE

pytestmark = pytest.mark.timeout(180)  # several servers begin and end, beside whatever else the machine does

PATH = b"/api/criticality"
NOW = datetime.now(UTC) - timedelta(days=1)
APPS = [f"app-{number}" for number in range(8)]


@pytest.fixture
def place(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlPlace]:
    with postgresql_server.database() as lent:
        yield lent


def shared_token(folder: Path, **variables: str) -> bytes:
    words = ["tokens", "create", "--any-app", "--scope", "criticality:read", "--scope", "criticality:write"]
    made = run(*words, folder=folder, **variables)
    assert made.code == 0, made.err
    return made.out.strip().encode()


def port(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


class Caller:
    """One app on one connection."""

    def __init__(self, client: Client, token: bytes, app: str) -> None:
        self.client, self._headers = client, [(b"Token", token), (b"App-name", app.encode())]

    @classmethod
    async def connect(cls, server: Server, token: bytes, app: str) -> "Caller":
        return cls(await Client.connect(port(server)), token, app)

    async def get(self, query: bytes = b"") -> Any:
        await self.client.send(request(PATH + query, headers=self._headers))
        answer = await self.client.answer()
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def report(self, level: int, number: int) -> Any:
        body = {"level": level, "changed_at": (NOW + timedelta(seconds=number)).isoformat()}
        content = json.dumps(body).encode()
        await self.client.send(request(PATH, method=b"POST", headers=self._headers, body=content))
        answer = await self.client.answer()
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


async def test_two_processes_tell_each_app_once(place: PostgresqlPlace, tmp_path: Path) -> None:
    variables = {"DATABASE_URL": place.url}
    with (
        serving("--role", "api", folder=tmp_path / "one", **variables) as one,
        serving("--role", "api", folder=tmp_path / "two", **variables) as two,
    ):
        token = shared_token(tmp_path, **variables)
        producers = [await Caller.connect(each, token, "producer") for each in (one, two)]
        consumers = {app: [await Caller.connect(each, token, app) for each in (one, two) * 2] for app in APPS}
        told: dict[str, list[int]] = {app: [] for app in APPS}
        stop = asyncio.Event()

        async def poll(app: str, caller: Caller) -> None:
            while not stop.is_set():
                found = await caller.get(b"?wait=1")
                if found:
                    told[app].append(found["revision"])

        polls = [asyncio.create_task(poll(app, each)) for app, callers in consumers.items() for each in callers]
        last = 0
        for number in range(1, 21):
            last = (await producers[number % 2].report(number % 5 + 1, number))["revision"]
        async with asyncio.timeout(PATIENCE):
            while any(last not in revisions for revisions in told.values()):
                await asyncio.sleep(0.02)
        stop.set()
        await asyncio.gather(*polls)
        assert last == 20
        for revisions in told.values():
            assert len(set(revisions)) == len(revisions), "told twice"
        for caller in [each for callers in consumers.values() for each in callers] + producers:
            await caller.client.close()
        assert [each.end() for each in (one, two)] == [0, 0]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_numbers_never_repeat_and_told_stays_told_after_kill_9(
    dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    variables: dict[str, str] = {}
    if dialect == "postgresql":
        place: PostgresqlPlace = request.getfixturevalue("place")
        variables["DATABASE_URL"] = place.url
    told: dict[str, list[int]] = {app: [] for app in APPS}
    revisions: list[int] = []
    with serving(folder=tmp_path, **variables) as server:
        token = shared_token(tmp_path, **variables)
        await write_and_ask_until_killed(server, token, told, revisions)
        assert server.wait() == -signal.SIGKILL
    with serving(folder=tmp_path, **variables) as server:
        for app in APPS:
            caller = await Caller.connect(server, token, app)
            told[app] += [found["revision"]] if (found := await caller.get()) else []
            assert await caller.get() == {}
            await caller.client.close()
        history = ask(
            f"{server.url}/api/criticality/history?limit=500", headers={"Token": token.decode(), "App-name": "x"}
        )
        kept = [each["revision"] for each in history.json]
        assert server.end() == 0
    assert len(set(revisions)) == len(revisions) > 0, "a number was given twice"
    assert set(revisions) <= set(range(1, kept[0] + 1))
    assert kept == list(range(kept[0], kept[0] - len(kept), -1))
    for seen in told.values():
        assert len(set(seen)) == len(seen), "told twice"


async def write_and_ask_until_killed(
    server: Server, token: bytes, told: dict[str, list[int]], revisions: list[int]
) -> None:
    async def report() -> None:
        caller = await Caller.connect(server, token, "producer")
        try:
            for step in itertools.count():
                kept = await caller.report(step % 5 + 1, step)
                revisions.append(kept["revision"])
        finally:
            await caller.client.close()

    async def poll(app: str) -> None:
        caller = await Caller.connect(server, token, app)
        try:
            while True:
                if found := await caller.get():
                    told[app].append(found["revision"])
        finally:
            await caller.client.close()

    tasks = [asyncio.create_task(report()), *(asyncio.create_task(poll(app)) for app in APPS)]
    async with asyncio.timeout(PATIENCE):
        while len(revisions) < 50 or any(len(seen) < 3 for seen in told.values()):
            await asyncio.sleep(0.01)
        server.send(signal.SIGKILL)
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, (ConnectionError, asyncio.IncompleteReadError)) for each in results), results
