"""Tasks on real databases with a provider that does what a test tells it, and jobs that run when a test says so."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from signalbox.core.rates import Rate, parse_rate
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.events import find_events
from signalbox.infra.http import TooLateError
from signalbox.infra.jobs import Job, StoredJob, find_jobs
from signalbox.infra.jobs.database import DatabaseQueue
from signalbox.infra.jobs.outcomes import of_outcome
from signalbox.tasks import intake, service, store
from signalbox.tasks.intake import Desk
from signalbox.tasks.jobs import Pumps, build_kinds
from signalbox.tasks.journal import Journal
from signalbox.tasks.providers import Outgoing, PollFailedError, Receipt, Sighting, Sightings
from signalbox.tasks.schemas import Entry, NewTask, Task
from signalbox.tasks.settings import TasksSettings

SECOND = 1_000_000
NAME = "acme"


class ScriptedProvider:
    """A provider of a kind of its own: it notes what it is asked, and answers as a test says."""

    def __init__(
        self,
        name: str = NAME,
        *,
        limits: Sequence[str] = (),
        can_look_up: bool = True,
        is_idempotent: bool = False,
        batch: int | None = None,
    ) -> None:
        self.name, self.host = name, f"{name}.test"
        self.limits: Mapping[str, Rate] = {f"provider:{name}:{text}": parse_rate(text) for text in limits}
        self.poll_interval = 10.0
        self.poll_share: float | None = None
        self.can_look_up, self.is_idempotent, self.batch = can_look_up, is_idempotent, batch
        self.submissions: list[Outgoing] = []
        self.look_ups: list[str] = []
        self.polls: list[list[str]] = []
        self.known: dict[str, Receipt] = {}
        self.answer: Callable[[Outgoing], Receipt | Exception] = self.take
        self.look: Callable[[str], Receipt | Exception | None] = self.known.get
        self.sightings: Sightings | PollFailedError = Sightings([], 0)
        self.connects_in = 0.0
        """Seconds that it takes until a connection stands."""
        self.late = 0
        """Calls that were not sent for that."""
        self.gate: asyncio.Event | None = None
        """Where set, submissions wait for it."""

    def take(self, task: Outgoing) -> Receipt:
        receipt = self.known[task.reference] = Receipt(f"x{task.id}", None)
        return receipt

    def says(self, *found: tuple[str, ...], bad: int = 0) -> None:
        """What polls bring from now on: key, status and, if any, message."""
        self.sightings = Sightings([Sighting(key, status, next(iter(more), None)) for key, status, *more in found], bad)

    async def submit(self, task: Outgoing) -> Receipt:
        self._check_in_time(task.send_by)
        self.submissions.append(task)
        if self.gate is not None:
            await self.gate.wait()
        return _given(self.answer(task))

    async def look_up(self, reference: str, *, send_by: float | None = None) -> Receipt | None:
        self._check_in_time(send_by)
        self.look_ups.append(reference)
        found = self.look(reference)
        return None if found is None else _given(found)

    async def poll(self, keys: Sequence[str], *, send_by: float | None = None) -> Sightings:
        self._check_in_time(send_by)
        self.polls.append(list(keys))
        if isinstance(self.sightings, PollFailedError):
            raise self.sightings
        found = [each for each in self.sightings.found if self.batch is None or each.key in keys]
        return Sightings(found, self.sightings.bad)

    def _check_in_time(self, send_by: float | None) -> None:
        if send_by is not None and asyncio.get_running_loop().time() + self.connects_in >= send_by:
            self.late += 1
            msg = "no connection in time"
            raise TooLateError(msg)


def _given(answer: Receipt | Exception) -> Receipt:
    if isinstance(answer, Exception):
        raise answer
    return answer


class TaskWorld:
    """A hub's tasks without the hub: a test hands tasks over, lets time pass and runs the jobs that are due."""

    def __init__(self, context: Context, *providers: ScriptedProvider, default: str | None = None, **more: Any) -> None:
        self.context, self.db = context, context.db
        self.providers = {each.name: each for each in providers}
        self.settings = TasksSettings.model_construct(default_provider=default, **more)
        self.journal = Journal(context.broadcast)
        self.desk = Desk({each.name: each.poll_interval for each in providers}, default)
        self.pumps = Pumps(context, self.providers, self.settings, self.journal)
        self.queue = DatabaseQueue(context.db)

    @property
    def now(self) -> int:
        return self.context.clock.now()

    def advance(self, seconds: float) -> None:
        assert isinstance(self.context.clock, ManualClock)
        self.context.clock.advance(seconds)

    async def hand_over(self, provider: str | None = NAME, *, app: str = "shop", **more: Any) -> Task:
        new = NewTask(provider=provider, **more)
        return await self.db.write(intake.accept, new, desk=self.desk, journal=self.journal, app=app, now=self.now)

    async def fill(self, count: int, *, app: str = "shop", provider: str | None = NAME) -> list[int]:
        new = [NewTask(provider=provider) for _ in range(count)]
        results = await self.db.write(
            intake.accept_many, new, desk=self.desk, journal=self.journal, app=app, now=self.now
        )
        return [each.id for each in results if each.id is not None]

    async def claim(self) -> list[Job]:
        """What a worker would begin now."""
        kinds = build_kinds(self.pumps)
        return [job for kind in kinds for job in await self.queue.claim(kind, worker="w", limit=10, now=self.now)]

    async def run(self) -> int:
        """Run jobs until none is due; how many it were."""
        kinds, count = build_kinds(self.pumps), 0
        while jobs := await self.claim():
            for job in jobs:
                outcome = await kinds[job.kind].handle(job)
                await self.queue.record([of_outcome(job, outcome)], now=self.now)
                count += 1
            assert count < 1_000, "the jobs do not come to an end"
        return count

    async def run_for(self, seconds: float, *, step: float = 1.0) -> None:
        """Let time pass, and run what becomes due."""
        for _ in range(round(seconds / step)):
            self.advance(step)
            await self.run()

    async def task(self, number: int) -> Task:
        found = await self.db.read(store.find_task, number)
        assert found is not None
        return found

    async def tasks(self) -> list[Task]:
        return await self.db.read(store.find_tasks, store.TaskFilter(), before=None, limit=100_000)

    async def history(self, number: int) -> list[Entry]:
        page = await self.db.read(service.show_history, number, limit=500)
        return list(reversed(page.items))

    async def jobs(self, kind: str | None = None) -> list[StoredJob]:
        found = await self.db.read(find_jobs, kind=kind, limit=1_000)
        return [each for each in found if each.state in ("waiting", "running")]

    async def events(self, topic: str) -> list[dict[str, Any]]:
        return [each.data for each in await self.db.read(find_events, topic=topic, limit=500)]

    async def execute(self, statement: Any) -> None:
        def write(tx: Connection) -> None:
            tx.execute(statement)

        await self.db.write(write)
