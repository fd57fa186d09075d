"""What others are told of a job that ended without its work being done, in the transaction in which it did."""

from typing import Final

from signalbox.infra.events import Event
from signalbox.infra.jobs.job import ABOUT, Job, Report, StoredJob

DEAD: Final = "job.dead"
"""The topic of the event that is published when a job dies."""
CANCELLED: Final = "job.cancelled"
"""The topic of the event that is published when a job has ended because somebody asked for it."""
REASON: Final = "its job was cancelled"


def of_end(report: Report, state: str) -> Event | None:
    """What is told of a report that left its job in ``state``; None where nothing is."""
    if state == "dead" and report.job.payload.get(ABOUT) != DEAD:
        return dead_event(report)
    if state == "cancelled":
        return cancelled_event(report.job, attempts=report.job.attempt)
    return None


def dead_event(report: Report) -> Event:
    """What is told of a job that died, unless it was to tell of such a death: that might go on for ever."""
    of = report.job
    data = {"id": of.id, "kind": of.kind, "key": of.key, "attempts": of.attempt, "error": report.error}
    return Event(DEAD, data, severity="error")


def cancelled_event(of: Job | StoredJob, *, attempts: int) -> Event | None:
    """What is told of a job that was cancelled; nothing, where it was to tell of another that was.

    Else whoever cancels all that waits would make new jobs by it, for ever.
    """
    if of.payload.get(ABOUT) == CANCELLED:
        return None
    data = {"id": of.id, "kind": of.kind, "key": of.key, "attempts": attempts, "error": REASON}
    return Event(CANCELLED, data)
