"""Jobs in this process alone: for tests of what runs on jobs, and as the plainest statement of the rules."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from signalbox.core.times import MICROSECONDS
from signalbox.infra.db import Database
from signalbox.infra.db.wake import Wake
from signalbox.infra.events import Event
from signalbox.infra.jobs import outcomes
from signalbox.infra.jobs.control import JobEndedError, JobNotFoundError, KeyInUseError
from signalbox.infra.jobs.endings import cancelled_event, of_end
from signalbox.infra.jobs.job import Job, NewJob, Report, State, StoredJob
from signalbox.infra.jobs.leases import Held
from signalbox.infra.jobs.schedule import Schedule

LEASE = 10 * MICROSECONDS
_LIVE = ("waiting", "running")


@dataclass(slots=True)
class _Row:
    """What the database keeps beside what is listed."""

    job: StoredJob
    since: int
    max_age: int


class MemoryQueue:
    """A ``JobQueue`` without a database; ``enqueue`` and ``control`` are its own methods. It forgets all at its end.

    ``database`` runs what reports want recorded beside them; without one such reports are refused. A claim looks at
    every job, so it is for thousands, not millions.
    """

    poll = 1.0

    def __init__(self, *, database: Database | None = None, lease: int = LEASE) -> None:
        self.events: list[Event] = []
        """What was published."""
        self._database, self._lease = database, lease
        self._rows: dict[int, _Row] = {}
        self._last = 0
        self._moments: dict[str, tuple[str, int]] = {}
        self._wake: Wake | None = None
        self._turn = asyncio.Lock()

    # -- what features and people do ----------------------------------------------------------------------------------

    def enqueue(self, new: NewJob, *, now: int) -> int | None:
        """As ``infra.jobs.enqueue``."""
        if new.key is not None and self._holder(new.kind, new.key) is not None:
            return None
        self._last += 1
        due_at = now if new.due_at is None else new.due_at
        made = StoredJob(
            id=self._last,
            kind=new.kind,
            state="waiting",
            payload=_copy(new.payload),
            key=new.key,
            priority=new.priority,
            due_at=due_at,
            created_at=now,
            started_at=None,
            ended_at=None,
            attempts=0,
            max_attempts=new.max_attempts,
            claim=0,
            worker=None,
            lease_until=None,
            cancel_at=None,
            error=None,
            traceparent=new.traceparent,
        )
        self._rows[self._last] = _Row(made, since=now, max_age=new.max_age)
        self._tell(new.kind, due_at)
        return self._last

    def find_job(self, number: int) -> StoredJob:
        """As ``infra.jobs.find_job``."""
        if number not in self._rows:
            msg = f"there is no job {number}"
            raise JobNotFoundError(msg)
        return self._rows[number].job

    def find_jobs(self) -> list[StoredJob]:
        """All jobs, newest first."""
        return [row.job for row in reversed(self._rows.values())]

    def cancel(self, number: int, *, now: int) -> StoredJob:
        """As ``infra.jobs.cancel``."""
        job = self.find_job(number)
        if job.state not in _LIVE:
            msg = f"job {number} is {job.state}; only what waits or runs can be cancelled"
            raise JobEndedError(msg)
        self._change(number, cancel_at=job.cancel_at or now)
        if job.state == "waiting":
            self._change(number, state="cancelled", ended_at=now)
            if (event := cancelled_event(job, attempts=job.attempts)) is not None:
                self.events.append(event)
        return self.find_job(number)

    def retry(self, number: int, *, now: int) -> StoredJob:
        """As ``infra.jobs.retry``."""
        job = self.find_job(number)
        if job.key is not None and self._holder(job.kind, job.key) not in (None, number):
            msg = f"another job of kind {job.kind} with the key {job.key!r} waits or runs"
            raise KeyInUseError(msg)
        if job.state in ("running", "done"):
            msg = f"job {number} is {job.state}; only what waits, is dead or was cancelled can be run again"
            raise JobEndedError(msg)
        self._change(number, state="waiting", due_at=now, attempts=0, cancel_at=None, ended_at=None)
        self._rows[number].since = now
        self._tell(job.kind, now)
        return self.find_job(number)

    # -- what workers do ----------------------------------------------------------------------------------------------

    async def open(self, wake: Wake, *, now: int) -> None:  # noqa: ARG002 - other versions need the time
        """Wake when a job is enqueued, put back or given back."""
        self._wake = wake

    async def close(self) -> None:
        """Wake nobody any more."""
        self._wake = None

    async def claim(self, kind: str, *, worker: str, limit: int, now: int) -> list[Job]:
        """Lease due jobs of a kind to a worker; see ``JobQueue.claim``."""
        async with self._turn:
            due = [each for each in self._in("waiting") if each.kind == kind and each.due_at <= now]
            due.sort(key=lambda each: (-each.priority, each.due_at, each.id))
            return [self._lease_out(each, worker, now) for each in due[:limit]]

    async def record(self, reports: Sequence[Report], *, now: int) -> list[State | None]:
        """Write down what became of claims; see ``JobQueue.record``."""
        async with self._turn:
            first = {(each.job.id, each.job.claim): each for each in reversed(reports)}
            await self._run_thens([each for each in first.values() if self._is_current(each)])
            return [self._settle(each, now) if self._is_current(each) else None for each in reports]

    async def renew(self, *, worker: str, now: int) -> dict[int, Held]:
        """Extend the leases of a worker."""
        async with self._turn:
            mine = [each for each in self._in("running") if each.worker == worker]
            for each in mine:
                self._change(each.id, lease_until=now + self._lease)
            return {each.id: Held(each.claim, now + self._lease, each.cancel_at is not None) for each in mine}

    async def recover(self, *, now: int) -> int:
        """Take jobs back whose leases ran out."""
        async with self._turn:
            lapsed = [each for each in self._in("running") if (each.lease_until or 0) <= now]
            for each in lapsed:
                self._settle(outcomes.of_loss(self._to_job(each.id), now=now, fraction=random.random()), now)
            return len(lapsed)

    async def next_due(self, kinds: Sequence[str]) -> dict[str, int]:
        """When the first waiting job of each kind is due."""
        waiting = sorted(self._in("waiting"), key=lambda each: -each.due_at)
        return {each.kind: each.due_at for each in waiting if each.kind in kinds}

    async def stamp(self) -> object:
        """Unlike before at each look: to look here costs no more."""
        return object()

    async def fire(self, schedules: Sequence[Schedule], *, now: int) -> int | None:
        """Enqueue what schedules say."""
        for each in schedules:
            spec, moment = self._moments.get(each.name, ("", 0))
            if spec == each.spec and moment > now:
                continue
            self._moments[each.name] = each.spec, each.rule.after(now)
            if spec == each.spec:
                self.enqueue(each.to_job(), now=now)
        return min((self._moments[each.name][1] for each in schedules), default=None)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _in(self, state: State) -> list[StoredJob]:
        return [row.job for row in self._rows.values() if row.job.state == state]

    def _holder(self, kind: str, key: str) -> int | None:
        """The job that waits or runs with a key."""
        rows = (row.job for row in self._rows.values())
        return next((each.id for each in rows if (each.kind, each.key) == (kind, key) and each.state in _LIVE), None)

    def _change(self, number: int, **values: Any) -> None:
        row = self._rows[number]
        row.job = replace(row.job, **values)

    def _lease_out(self, job: StoredJob, worker: str, now: int) -> Job:
        self._change(
            job.id,
            state="running",
            attempts=job.attempts + 1,
            claim=job.claim + 1,
            worker=worker,
            lease_until=now + self._lease,
            started_at=now,
        )
        return self._to_job(job.id)

    def _to_job(self, number: int) -> Job:
        row = self._rows[number]
        job = row.job
        return Job(
            id=job.id,
            kind=job.kind,
            payload=_copy(job.payload),
            attempt=job.attempts,
            max_attempts=job.max_attempts,
            claim=job.claim,
            lease_until=job.lease_until or 0,
            due_at=job.due_at,
            priority=job.priority,
            key=job.key,
            since=row.since,
            max_age=row.max_age,
            traceparent=job.traceparent,
        )

    def _is_current(self, report: Report) -> bool:
        row = self._rows.get(report.job.id)
        return row is not None and (row.job.state, row.job.claim) == ("running", report.job.claim)

    async def _run_thens(self, reports: Sequence[Report]) -> None:
        thens = [each.then for each in reports if each.then is not None]
        if not thens:
            return
        if self._database is None:
            msg = "this queue has no database to record outcomes in"
            raise TypeError(msg)
        await self._database.write(lambda tx: [then(tx) for then in thens])

    def _settle(self, report: Report, now: int) -> State:
        job = self._rows[report.job.id].job
        unwanted = report.state == "waiting" and job.cancel_at is not None
        state: State = "cancelled" if unwanted else report.state
        self._change(
            job.id,
            state=state,
            due_at=report.due_at,
            attempts=job.attempts - report.uncounted,
            error=report.error or job.error,
            lease_until=None,
            ended_at=None if state == "waiting" else now,
        )
        if state == "done" and report.forgets:
            del self._rows[job.id]
        if (event := of_end(report, state)) is not None:
            self.events.append(event)
        elif state == "waiting":
            self._tell(job.kind, report.due_at)
        return state

    def _tell(self, kind: str, due_at: int) -> None:
        if self._wake is not None:
            self._wake(kind, due_at)


def _copy(payload: Mapping[str, Any]) -> dict[str, Any]:
    """As it would come back from a database.

    Raises:
        TypeError, ValueError: it is not JSON-safe.
    """
    copy: dict[str, Any] = json.loads(json.dumps(dict(payload), allow_nan=False))
    return copy
