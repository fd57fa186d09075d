import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from signalbox.app.background import Background, worker_name
from signalbox.app.features import Feature
from signalbox.app.hub import Hub, open_hub
from signalbox.app.settings import Settings
from signalbox.core.errors import UnavailableError
from signalbox.infra.events import Event, publish
from signalbox.infra.jobs import Job, Kind, enqueue, find_job
from tests.app.conftest import open_site
from tests.support.databases import Place, PostgresqlServer
from tests.support.hub import settings_at
from tests.support.timing import PATIENCE, until
from tests.support.working_hub import Working, create_table, drop_table, read_entries


@pytest.fixture
def settings(place: Place) -> Iterator[Settings]:
    """A hub's settings on a database in which the feature can write."""
    made = settings_at(place)
    create_table(made)
    yield made
    drop_table(made)


@pytest.fixture
def split(postgresql_server: PostgresqlServer) -> Iterator[Place]:
    """PostgreSQL: roles other than ``all`` need it."""
    with postgresql_server.database() as place:
        create_table(settings_at(place))
        yield place
        drop_table(settings_at(place))


async def put(hub: Hub, kind: str, **payload: Any) -> int:
    number = await hub.context.db.write(enqueue, kind, payload, now=hub.context.clock.now())
    assert number is not None
    return number


async def state(hub: Hub, number: int) -> str:
    return (await hub.context.db.read(find_job, number)).state


async def entries(settings: Settings, *what: str, count: int) -> list[Any]:
    """What was written down, once there is so much of it."""
    async with asyncio.timeout(PATIENCE):
        while len(found := await asyncio.to_thread(read_entries, settings, *what)) < count:
            await asyncio.sleep(0.02)
    return list(found)


async def test_all_that_a_feature_brings_runs(settings: Settings) -> None:
    working = Working()
    async with open_hub(settings, extra=[working.build]) as hub:
        assert working.life == ["opened"]
        number = await put(hub, "test.slow", seconds=0)
        await hub.context.db.write(publish, Event("test.happened", {}), now=hub.context.clock.now())
        rows = await entries(settings, "ended", "test.happened", count=2)
        assert {(row.what, row.job) for row in rows} == {("ended", number), ("test.happened", None)}
        assert await entries(settings, "tick", count=1)
        await hub.sweeper.sweep()
    assert working.life == ["opened", "swept", "closed"]


async def test_a_dead_job_is_told_to_subscribers(settings: Settings) -> None:
    async with open_hub(settings, extra=[Working().build]) as hub:
        now = hub.context.clock.now()
        await hub.context.db.write(enqueue, "test.slow", {"seconds": "many"}, now=now, max_attempts=1)
        assert await entries(settings, "job.dead", count=1)


async def test_roles_share_the_work(split: Place) -> None:
    settings = settings_at(split)
    serving, doing = Working(), Working()
    async with (
        open_site(settings_at(split, role="api"), extra=[serving.build]) as api,
        open_site(settings_at(split, role="worker"), extra=[doing.build]) as worker,
    ):
        api_hub = api.running.hub
        assert api_hub.background is None
        number = await put(api_hub, "test.hold")
        await until(lambda: doing.held)
        doing.gate.set()
        async with asyncio.timeout(PATIENCE):
            while await state(api_hub, number) != "done":
                await asyncio.sleep(0.01)
        assert (await api.client.get("/api/jobs")).status_code == 401
        assert (await worker.client.get("/api/jobs")).status_code == 404
        assert (await worker.client.get("/healthz")).status_code == 200
        await api_hub.context.db.write(publish, Event("test.happened", {}), now=1)
        assert await entries(settings, "test.happened", count=1)
    assert serving.held == []
    assert [working.life for working in (serving, doing)] == [["opened", "closed"]] * 2


async def test_a_mere_gateway_has_no_features(split: Place) -> None:
    working = Working()
    async with open_hub(settings_at(split, role="gateway"), extra=[working.build]) as hub:
        assert (hub.background, hub.features) == (None, [])
    assert working.life == []


async def test_jobs_begin_when_the_database_is_there(
    postgresql_server: PostgresqlServer, split: Place, caplog: pytest.LogCaptureFixture
) -> None:
    settings, working = settings_at(split), Working()
    with postgresql_server.closed(split):  # type: ignore[arg-type]
        opening = open_hub(settings, extra=[working.build])
        hub = await opening.__aenter__()
    try:
        assert "jobs wait for the database" in caplog.text
        await hub_writes(hub)
        await put(hub, "test.slow", seconds=0)
        assert await entries(settings, "ended", count=1)
    finally:
        await opening.__aexit__(None, None, None)


async def hub_writes(hub: Hub) -> None:
    """Wait until the hub has found its database again."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(UnavailableError):
                await hub.context.db.read(lambda tx: tx.exec_driver_sql("SELECT 1"))
                return
            await asyncio.sleep(0.05)


async def test_what_runs_is_finished_at_the_end_and_nothing_begins(settings: Settings) -> None:
    working = Working()
    async with open_hub(settings, extra=[working.build]) as hub:
        first = await put(hub, "test.hold")
        await until(lambda: working.held)
        hub.context.drain.begin()
        second = await put(hub, "test.hold")
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().call_later(0.3, working.gate.set)
    assert [job.id for job in working.held] == [first]
    again = Working()
    again.gate.set()
    async with open_hub(settings, extra=[again.build]) as hub:
        await until(lambda: again.held)
        assert await state(hub, first) == "done"
    assert [job.id for job in again.held] == [second]


async def test_what_takes_too_long_is_given_back(place: Place) -> None:
    settings, working = settings_at(place, drain_timeout=0.2), Working()
    async with open_hub(settings, extra=[working.build]) as hub:
        await put(hub, "test.hold")
        await until(lambda: working.held)
    async with open_hub(settings, extra=[working.build]):
        await until(lambda: len(working.held) == 2)
        working.gate.set()
    assert [job.attempt for job in working.held] == [1, 1]


async def test_who_is_in_a_hurry_waits_for_no_job(settings: Settings) -> None:
    working = Working()
    async with asyncio.timeout(PATIENCE):
        async with open_hub(settings, extra=[working.build]) as hub:
            number = await put(hub, "test.hold")
            await until(lambda: working.held)
            hub.context.drain.begin()
            asyncio.get_running_loop().call_later(0.2, hub.hurry)  # while it waits for the job already
    async with open_hub(settings) as hub:  # without the feature: nobody does its jobs
        assert await state(hub, number) == "waiting"


async def test_a_kind_belongs_to_one_feature(settings: Settings) -> None:
    async def work(_job: Job) -> None: ...

    twice = [Feature(name, kinds={"test.work": Kind(work)}) for name in "ab"]
    async with open_hub(settings) as hub:
        with pytest.raises(TypeError, match=r"test\.work"):
            Background(hub.context, settings, twice)


def test_no_two_processes_have_one_name() -> None:
    assert len({worker_name() for _ in range(100)}) == 100
