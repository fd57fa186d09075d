"""Jobs and events of the past, run at their moments."""

from signalbox.app.demo_replay import PastClock, Replay, past_context
from signalbox.app.settings import Settings
from signalbox.core.times import HOUR, MICROSECONDS
from signalbox.infra.context import Context
from signalbox.infra.db import Database
from signalbox.infra.events import Event, StoredEvent, Subscriber, publish
from signalbox.infra.jobs import Job, Kind, Outcome, Snooze, enqueue, find_jobs

BEGAN = 1_790_000_000_000_000


class Worker:
    """Does a job at the second attempt, a minute after the first."""

    def __init__(self, clock: PastClock) -> None:
        self._clock = clock
        self.runs: list[tuple[int, object]] = []

    async def handle(self, job: Job) -> Outcome | None:
        self.runs.append((self._clock.now() - BEGAN, job.payload["name"]))
        return Snooze(self._clock.now() + 60 * MICROSECONDS) if job.claim == 1 else None


def test_the_clock_goes_on_and_never_back() -> None:
    clock = PastClock(BEGAN)
    before = clock.monotonic()
    clock.move_to(BEGAN + HOUR)
    clock.move_to(BEGAN)
    assert clock.now() == BEGAN + HOUR
    assert 3600 <= clock.monotonic() - before < 3610


async def test_jobs_run_when_they_were_due_in_the_order_of_time(database: Database) -> None:
    clock = PastClock(BEGAN)
    worker = Worker(clock)
    replay = Replay(database, clock, {"tests.work": Kind(worker.handle)}, [])
    for name, seconds in (("late", 90), ("early", 10), ("later", 4000)):
        due_at = BEGAN + seconds * MICROSECONDS
        await database.write(enqueue, "tests.work", {"name": name}, now=BEGAN, due_at=due_at)
    await replay.run_to(BEGAN + HOUR)
    runs = [(moment // MICROSECONDS, name) for moment, name in worker.runs]
    assert runs == [(10, "early"), (70, "early"), (90, "late"), (150, "late")]
    assert clock.now() == BEGAN + HOUR
    found = {job.payload["name"]: job for job in await database.read(find_jobs, limit=10)}
    assert found["later"].state == "waiting"
    assert found["early"].state == "done"
    assert found["early"].ended_at == BEGAN + 70 * MICROSECONDS


async def test_subscribers_hear_of_events_at_their_time(database: Database) -> None:
    clock = PastClock(BEGAN)
    heard: list[tuple[str, int]] = []
    subscriber = Subscriber("tests", ["*"], lambda _tx, event, now: _note(heard, event, now))
    replay = Replay(database, clock, {}, [subscriber])
    await database.write(publish, Event("tests.happened", {}), now=BEGAN)
    await replay.run_to(BEGAN + HOUR)
    assert heard == [("tests.happened", BEGAN)]


def _note(heard: list[tuple[str, int]], event: StoredEvent, now: int) -> None:
    heard.append((event.topic, now))


def test_the_world_at_another_time_is_the_same_world(context: Context) -> None:
    clock = PastClock(BEGAN)
    past, _ = past_context(context, Settings(), clock)
    assert past.clock is clock
    assert past.db is context.db
    assert past.outbound is not context.outbound
