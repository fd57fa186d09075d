"""Jobs in the main database: what the SQLite and the PostgreSQL version share."""

import random
from collections.abc import Sequence

from signalbox.core.times import MICROSECONDS
from signalbox.infra.db import Database
from signalbox.infra.db.wake import CommitWatch, Wake
from signalbox.infra.jobs import leases, queue
from signalbox.infra.jobs.job import Job, Report, State
from signalbox.infra.jobs.leases import Held
from signalbox.infra.jobs.schedule import Schedule, fire

LEASE = 10 * MICROSECONDS
RECOVERED_AT_ONCE = 500


class DatabaseQueue:
    """A ``JobQueue`` over a ``Database``; each call is one short transaction."""

    poll = 1.0

    def __init__(self, db: Database, *, lease: int = LEASE) -> None:
        self._db, self._lease = db, lease
        self._watch: CommitWatch | None = None

    async def open(self, wake: Wake, *, now: int) -> None:  # noqa: ARG002 - other versions need the time
        """Wake after each transaction of this process that made jobs due."""
        self._watch = CommitWatch(self._db, wake)
        await self._watch.open()

    async def close(self) -> None:
        """Wake nobody any more."""
        if self._watch is not None:
            self._watch.close()

    async def claim(self, kind: str, *, worker: str, limit: int, now: int) -> list[Job]:
        """Lease due jobs of a kind to a worker; see ``JobQueue.claim``."""
        return await self._db.write(queue.claim, kind, worker=worker, limit=limit, now=now, lease=self._lease)

    async def record(self, reports: Sequence[Report], *, now: int) -> list[State | None]:
        """Write down what became of claims; see ``JobQueue.record``."""
        return await self._db.write(queue.record, reports, now=now)

    async def renew(self, *, worker: str, now: int) -> dict[int, Held]:
        """Extend the leases of a worker."""
        return await self._db.write(leases.renew, worker=worker, now=now, lease=self._lease)

    async def recover(self, *, now: int) -> int:
        """Take jobs back whose leases ran out, in batches."""
        total, first = 0, await self._db.read(leases.first_lapse)
        while first is not None and first <= now:
            fractions = [random.random() for _ in range(RECOVERED_AT_ONCE)]
            found = await self._db.write(leases.recover, now=now, limit=RECOVERED_AT_ONCE, fractions=fractions)
            total += found
            if found < RECOVERED_AT_ONCE:
                break
        return total

    async def next_due(self, kinds: Sequence[str]) -> dict[str, int]:
        """When the first waiting job of each kind is due."""
        return await self._db.read(queue.next_due, kinds)

    async def stamp(self) -> object:
        """What is unlike before once anything was committed."""
        return await self._db.stamp()

    async def fire(self, schedules: Sequence[Schedule], *, now: int) -> int | None:
        """Enqueue what schedules say."""
        return await self._db.write(fire, schedules, now=now)
