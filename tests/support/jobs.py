"""Queues of jobs for tests: each version of the seam behind the same desk, at which features and people work too."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from signalbox.infra.db import Database
from signalbox.infra.events import find_events
from signalbox.infra.jobs import (
    DEAD,
    Job,
    JobQueue,
    NewJob,
    Report,
    State,
    StoredJob,
    cancel,
    enqueue,
    find_job,
    find_jobs,
    retry,
)
from signalbox.infra.jobs.database import LEASE, DatabaseQueue
from signalbox.infra.jobs.memory import MemoryQueue
from signalbox.infra.jobs.postgresql import PostgresqlQueue
from signalbox.infra.jobs.sqlite import SqliteQueue
from tests.support.databases import Place, PostgresqlPlace

START = 1_767_225_600_000_000
SECOND = 1_000_000
VERSIONS = ("memory", "sqlite", "postgresql")


class Desk(Protocol):
    """A queue with what features and people do at it."""

    @property
    def queue(self) -> JobQueue: ...

    @property
    def database(self) -> Database:
        """Where reports may record something."""
        ...

    async def enqueue(self, new: NewJob, now: int = START) -> int | None: ...

    async def find(self, number: int) -> StoredJob: ...

    async def find_all(self) -> list[StoredJob]: ...

    async def cancel(self, number: int, now: int = START) -> StoredJob: ...

    async def retry(self, number: int, now: int = START) -> StoredJob: ...

    async def events(self, topic: str = DEAD) -> list[dict[str, Any]]:
        """Data of what was published with a topic, oldest first."""
        ...

    def another(self) -> JobQueue:
        """The same jobs, as another process sees them."""
        ...


class MemoryDesk:
    def __init__(self, database: Database, lease: int = LEASE) -> None:
        self.database = database
        self.queue = MemoryQueue(database=database, lease=lease)

    async def enqueue(self, new: NewJob, now: int = START) -> int | None:
        return self.queue.enqueue(new, now=now)

    async def find(self, number: int) -> StoredJob:
        return self.queue.find_job(number)

    async def find_all(self) -> list[StoredJob]:
        return self.queue.find_jobs()

    async def cancel(self, number: int, now: int = START) -> StoredJob:
        return self.queue.cancel(number, now=now)

    async def retry(self, number: int, now: int = START) -> StoredJob:
        return self.queue.retry(number, now=now)

    async def events(self, topic: str = DEAD) -> list[dict[str, Any]]:
        return [dict(each.data) for each in self.queue.events if each.topic == topic]

    def another(self) -> JobQueue:
        return self.queue


class DatabaseDesk:
    def __init__(self, database: Database, make: Callable[[], DatabaseQueue]) -> None:
        self.database, self._make = database, make
        self.queue = make()

    async def enqueue(self, new: NewJob, now: int = START) -> int | None:
        return await self.database.write(
            enqueue,
            new.kind,
            new.payload,
            now=now,
            due_at=new.due_at,
            key=new.key,
            priority=new.priority,
            max_attempts=new.max_attempts,
            max_age=new.max_age,
            traceparent=new.traceparent,
        )

    async def find(self, number: int) -> StoredJob:
        return await self.database.read(find_job, number)

    async def find_all(self) -> list[StoredJob]:
        return await self.database.read(find_jobs, limit=10_000)

    async def cancel(self, number: int, now: int = START) -> StoredJob:
        return await self.database.write(cancel, number, now=now)

    async def retry(self, number: int, now: int = START) -> StoredJob:
        return await self.database.write(retry, number, now=now)

    async def events(self, topic: str = DEAD) -> list[dict[str, Any]]:
        found = await self.database.read(find_events, topic=topic, limit=500)
        return [each.data for each in reversed(found)]

    def another(self) -> JobQueue:
        return self._make()


def place_of(request: pytest.FixtureRequest, version: str, folder: Path) -> Place:
    """A migrated database for a version; the memory version records what its handlers say in SQLite."""
    if version == "postgresql":
        lent = request.getfixturevalue("postgresql_server").database()
        place: Place = lent.__enter__()
        request.addfinalizer(lambda: lent.__exit__(None, None, None))
        return place
    made: Place = request.getfixturevalue("sqlite_template").copy_to(folder)
    return made


@asynccontextmanager
async def open_desk(version: str, place: Place, *, lease: int = LEASE) -> AsyncIterator[Desk]:
    """A version of the seam, empty."""
    database = place.open()

    def make() -> DatabaseQueue:
        if isinstance(place, PostgresqlPlace):
            return PostgresqlQueue(database, place.url, lease=lease)
        return SqliteQueue(database, lease=lease)

    yield MemoryDesk(database, lease) if version == "memory" else DatabaseDesk(database, make)
    await database.close()


async def claim(
    queue: JobQueue, kind: str = "test.work", *, limit: int = 100, now: int = START, worker: str = "w"
) -> list[Job]:
    return await queue.claim(kind, worker=worker, limit=limit, now=now)


async def claim_one(queue: JobQueue, *, now: int = START, worker: str = "w") -> Job:
    (job,) = await claim(queue, now=now, worker=worker)
    return job


async def record(queue: JobQueue, *reports: Report, now: int = START) -> list[State | None]:
    return await queue.record(reports, now=now)


async def put(desk: Desk, kind: str = "test.work", payload: dict[str, Any] | None = None, **more: Any) -> int:
    found = await desk.enqueue(NewJob(kind, payload or {}, **more))
    assert found is not None
    return found
