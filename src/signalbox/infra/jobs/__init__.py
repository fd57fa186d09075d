"""The seam to background work: jobs that are kept until they are done.

A feature enqueues in the transaction of its change (``enqueue``) and registers a handler for each kind; ``app`` runs a
``Worker`` over the ``JobQueue`` that it chose. The rows of the application's database are the truth: whatever is
enqueued is run at least once, never twice at the same time, and recorded by nobody but the current holder.
"""

from collections.abc import Sequence
from typing import Protocol

from signalbox.infra.db.wake import Wake
from signalbox.infra.jobs.backlog import Backlog, read_backlog, read_summary
from signalbox.infra.jobs.backoff import Backoff
from signalbox.infra.jobs.control import (
    JobEndedError,
    JobNotFoundError,
    KeyInUseError,
    cancel,
    delete_ended,
    find_job,
    find_jobs,
    free_key,
    is_live,
    retry,
    retry_many,
)
from signalbox.infra.jobs.cron import Cron, parse_cron
from signalbox.infra.jobs.endings import CANCELLED, DEAD
from signalbox.infra.jobs.intake import enqueue, enqueue_many
from signalbox.infra.jobs.job import (
    ABOUT,
    Done,
    Fail,
    Handler,
    Job,
    Kind,
    NewJob,
    Outcome,
    Priority,
    Report,
    Snooze,
    State,
    StoredJob,
    Then,
)
from signalbox.infra.jobs.leases import Held
from signalbox.infra.jobs.schedule import (
    Every,
    Schedule,
    ScheduleBusyError,
    ScheduleNotFoundError,
    StoredSchedule,
    every,
    find_schedule,
    find_schedules,
    pause_schedule,
    resume_schedule,
    run_schedule,
)

__all__ = [
    "ABOUT",
    "CANCELLED",
    "DEAD",
    "Backlog",
    "Backoff",
    "Cron",
    "Done",
    "Every",
    "Fail",
    "Handler",
    "Held",
    "Job",
    "JobEndedError",
    "JobNotFoundError",
    "JobQueue",
    "KeyInUseError",
    "Kind",
    "NewJob",
    "Outcome",
    "Priority",
    "Report",
    "Schedule",
    "ScheduleBusyError",
    "ScheduleNotFoundError",
    "Snooze",
    "State",
    "StoredJob",
    "StoredSchedule",
    "Then",
    "Wake",
    "cancel",
    "delete_ended",
    "enqueue",
    "enqueue_many",
    "every",
    "find_job",
    "find_jobs",
    "find_schedule",
    "find_schedules",
    "free_key",
    "is_live",
    "parse_cron",
    "pause_schedule",
    "read_backlog",
    "read_summary",
    "resume_schedule",
    "retry",
    "retry_many",
    "run_schedule",
]


class JobQueue(Protocol):
    """Where a worker finds its work. Times are microseconds UTC.

    Every method raises DatabaseUnavailableError where the database is away; ``record`` CommitUnknownError too, and may
    then be called again with the same reports.
    """

    @property
    def poll(self) -> float:
        """Seconds after which a worker looks for work that nothing has told it of."""
        ...

    async def open(self, wake: Wake, *, now: int) -> None:
        """Call ``wake`` in this event loop whenever there may be something to do; a hint, which may be missed."""
        ...

    async def close(self) -> None:
        """Wake nobody any more."""
        ...

    async def claim(self, kind: str, *, worker: str, limit: int, now: int) -> list[Job]:
        """Lease at most ``limit`` due jobs of a kind to a worker, highest priority first, then the longest due."""
        ...

    async def record(self, reports: Sequence[Report], *, now: int) -> list[State | None]:
        """Write down what became of claims, all or nothing; for each the state of its job, None where it came late.

        Raises whatever the ``then`` of a report raised; nothing is recorded in that case.
        """
        ...

    async def renew(self, *, worker: str, now: int) -> dict[int, Held]:
        """Extend the leases of a worker; what it holds, by job id."""
        ...

    async def recover(self, *, now: int) -> int:
        """Take jobs back from workers whose leases ran out; how many it were."""
        ...

    async def next_due(self, kinds: Sequence[str]) -> dict[str, int]:
        """When the first waiting job of each kind is due, maybe long ago; kinds without one are left out."""
        ...

    async def stamp(self) -> object:
        """What is unlike before once anything may have become of any job; see ``Database.stamp``."""
        ...

    async def fire(self, schedules: Sequence[Schedule], *, now: int) -> int | None:
        """Enqueue what schedules say; the next moment of any of them, None where there are none."""
        ...
