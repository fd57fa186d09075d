"""What becomes of a job when an attempt ends: pure rules, the same for every kind of queue."""

import traceback

from signalbox.core.errors import RetryableError
from signalbox.core.times import MICROSECONDS, MINUTE
from signalbox.infra.jobs.backoff import Backoff
from signalbox.infra.jobs.job import Done, Fail, Job, Outcome, Report, State, to_text

LOST = "the worker went away in the middle of the work"

BACKOFF = Backoff(cap=MINUTE)
"""After a loss. That says little of the job itself, and the work of a whole provider may hang on it."""


def of_outcome(job: Job, outcome: Outcome | None, *, forgets: bool = False) -> Report:
    """What a handler that came to its end has said; ``forgets``: its kind keeps no jobs that are done.

    Raises:
        TypeError: it returned something else than an outcome.
    """
    if outcome is None:
        return Report(job, "done", job.due_at, forgets=forgets)
    if isinstance(outcome, Done):
        return Report(job, "done", job.due_at, then=outcome.then, forgets=forgets)
    if isinstance(outcome, Fail):
        return Report(job, "dead", job.due_at, error=to_text(outcome.error), then=outcome.then)
    if not isinstance(outcome, tuple):
        msg = f"the handler of {job.kind} returned {type(outcome).__name__}; it may return None, Done, Snooze or Fail"
        raise TypeError(msg)
    reason = None if outcome.reason is None else to_text(outcome.reason)
    return _wait(job, outcome.until, reason, uncounted=1)._replace(then=outcome.then)


def of_failure(job: Job, error: BaseException, *, now: int, backoff: Backoff, fraction: float) -> Report:
    """A handler raised: the attempt is repeated after a back-off, or was the last.

    An error that says ``retry_after`` is not repeated sooner than that.
    """
    delay = backoff.delay(job.attempt, fraction)
    if isinstance(error, RetryableError):
        delay = max(delay, round(error.retry_after * MICROSECONDS))
    return _again(job, to_text(describe(error)), due_at=now + delay)


def of_loss(job: Job, *, now: int, fraction: float, backoff: Backoff = BACKOFF) -> Report:
    """The lease ran out, or the process that held it is gone.

    The first time it runs again at once. Then it waits, each time at another moment than its neighbours: if one of
    them kills its workers, the others are soon no longer beside it when it does.
    """
    delay = 0 if job.attempt <= 1 else backoff.delay(job.attempt, fraction)
    return _again(job, LOST, due_at=now + delay)


def of_release(job: Job, *, now: int) -> Report:
    """The worker closes: another may run it at once, as if it had never begun."""
    return Report(job, "waiting", now, uncounted=1)


def of_cancellation(job: Job) -> Report:
    """Somebody asked for its end while it ran."""
    return Report(job, "cancelled", job.due_at)


def describe(error: BaseException) -> str:
    """The end of the traceback, as in ``ValueError: no such id``."""
    return traceback.format_exception_only(error)[-1].strip() or type(error).__name__


def _again(job: Job, error: str, *, due_at: int) -> Report:
    if job.is_last_attempt:
        return Report(job, "dead", job.due_at, error=error)
    return _wait(job, due_at, error, uncounted=0)


def _wait(job: Job, due_at: int, error: str | None, *, uncounted: int) -> Report:
    """Run it again at ``due_at``, unless it is too old by then."""
    state: State = "waiting"
    if due_at > job.since + job.max_age:
        state, error = "dead", to_text(f"given up, as it is too old to wait any longer; {error or 'it was put off'}")
    return Report(job, state, due_at, uncounted, error)
