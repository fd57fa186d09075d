"""What becomes of a task when a call about it has ended: pure rules."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from signalbox.core.times import MICROSECONDS
from signalbox.infra.jobs import Backoff
from signalbox.tasks.providers import PollFailedError, Receipt, SubmitRefusedError
from signalbox.tasks.schemas import STATUSES, TERMINAL, Flag, Phase, Status, to_text

UNKNOWN_OUTCOME: Final = "submission outcome unknown"

FAILED: Final = "task.error"
"""Topic of tasks that a provider refused or reported as failed."""
DEAD: Final = "task.dead"
"""Topic of tasks that the hub gave up."""

LONGEST_RAW: Final = 200

_OURS: Final[dict[str, Status]] = {each: each for each in STATUSES}

LEAST_PAUSE: Final = 0.5
"""Share of a back-off for which a host is left alone at least: jitter is there to spread tasks, not to hurry."""

BACKOFF: Final = Backoff(MICROSECONDS, 600 * MICROSECONDS)
"""Between two attempts at the same task."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one provider's tasks are tried. Spans are microseconds."""

    max_attempts: int
    max_age: int
    """From when the task was handed over, where it was tried before; of one in doubt from when it was sent."""
    lookup_after: int
    """From when it was sent: if the provider does not know it then, it has not arrived."""
    poll_after: int
    """Until the first poll after a submission."""
    can_resolve: bool
    """Whether the provider can be asked about a submission of unknown outcome, or be sent it again without harm."""
    backoff: Backoff = BACKOFF


class Assignment(NamedTuple):
    """A task that is to be sent now; a permit for it has been taken. Times are microseconds UTC."""

    id: int
    app: str
    reference: str
    payload: dict[str, Any]
    attempt: int
    """From 1; with it what comes of this attempt is told from what came of others."""
    status: Status
    sent_at: int
    created_at: int
    doubtful: bool
    """Whether it was sent before, and nobody knows what became of it."""


class Verdict(NamedTuple):
    """What is to be recorded of an assignment."""

    task: Assignment
    phase: Phase
    status: Status
    next_at: int
    error: str | None = None
    """Why it has failed, where it has."""
    external_id: str | None = None
    raw_status: str | None = None
    uncounted: int = 0
    """1 where the attempt does not count."""
    detail: str | None = None
    """For the history."""
    topic: str | None = None
    """Of the event to publish."""
    pause_until: int | None = None
    """Until when the provider wants to be left alone."""


def submitted(task: Assignment, receipt: Receipt, *, now: int, patience: Patience) -> Verdict:
    """The provider has it."""
    status, raw = translate(receipt.status, otherwise="In Progress")
    phase: Phase = "done" if status in TERMINAL else "submitted"
    topic = FAILED if status == "Error" else None
    external = None if receipt.external_id is None else to_text(receipt.external_id)
    detail = "submitted" if external is None else f"submitted as {external}"
    return Verdict(
        task, phase, status, now + patience.poll_after, None, external, raw, detail=to_text(detail, 500), topic=topic
    )


def refused(task: Assignment, error: SubmitRefusedError, *, now: int, fraction: float, patience: Patience) -> Verdict:
    """The provider did not take it, or nobody knows whether it did; ``fraction`` is the throw of the dice."""
    said = to_text(str(error))
    if error.permanent:
        return Verdict(task, "done", "Error", now, said, detail="refused by the provider", topic=FAILED)
    if error.sent:
        verdict = doubtful(task, said, now=now, fraction=fraction, patience=patience)
    else:
        verdict = _again(task, said, now=now, fraction=fraction, patience=patience, put_off=error.retry_after)
    if error.too_many and error.retry_after is None:
        return _backed_off(verdict, now, fraction, patience)
    return _paused(verdict, error.retry_after, now)


def doubtful(task: Assignment, reason: str, *, now: int, fraction: float, patience: Patience) -> Verdict:
    """It was sent, or may have been, and there is no answer: it is not sent again before that is cleared up.

    Whatever its age and attempts, that is tried once where it can be.
    """
    said = to_text(f"{UNKNOWN_OUTCOME}: {reason}")
    if not patience.can_resolve or (task.doubtful and _is_over(task, now, patience)):
        return Verdict(task, "done", "Error", now, said, detail=said, topic=DEAD)
    next_at = now + patience.backoff.delay(task.attempt, fraction)
    return Verdict(task, "unclear", task.status, next_at, detail=said)


def lookup_failed(
    task: Assignment, error: PollFailedError, *, now: int, fraction: float, patience: Patience
) -> Verdict:
    """Whether it has arrived could not be found out."""
    verdict = doubtful(task, str(error), now=now, fraction=fraction, patience=patience)
    if error.too_many and error.retry_after is None:
        return _backed_off(verdict, now, fraction, patience)
    return _paused(verdict, error.retry_after, now)


def not_found(task: Assignment, *, now: int, patience: Patience) -> Verdict:
    """The provider does not know it: it is sent again, once a call that is still on its way must have arrived."""
    settled = task.sent_at + patience.lookup_after
    if now < settled:
        return Verdict(task, "unclear", task.status, settled, uncounted=1)
    detail = "the provider does not know it; it is sent again"
    return Verdict(task, "queued", task.status, now, detail=detail)


def unsent(task: Assignment, *, until: int) -> Verdict:
    """It was not sent after all, and is to be tried again at ``until``."""
    phase: Phase = "unclear" if task.doubtful else "queued"
    return Verdict(task, phase, task.status, until, uncounted=1)


def translate(word: str | None, *, otherwise: Status) -> tuple[Status, str | None]:
    """Our status, and the provider's word where it is none of ours; ``otherwise`` stands in then."""
    if word is None:
        return otherwise, None
    known = _OURS.get(word)
    return (otherwise, to_text(word, LONGEST_RAW)) if known is None else (known, None)


def flag_of(raw_status: str | None) -> Flag | None:
    """What people should look at in what the provider said."""
    return None if raw_status is None else "unknown_status"


def _again(
    task: Assignment, said: str, *, now: int, fraction: float, patience: Patience, put_off: float | None
) -> Verdict:
    # one that had to wait for permits is old before anybody has tried to send it
    is_old = task.attempt > 1 and now > task.created_at + patience.max_age
    if is_old or (put_off is None and task.attempt >= patience.max_attempts):
        detail = f"given up after attempt {task.attempt}"
        return Verdict(task, "done", "Error", now, said, detail=detail, topic=DEAD)
    # An idempotent provider may have seen the reference before: the doubt stays until it says yes.
    phase: Phase = "unclear" if task.doubtful else "queued"
    if put_off is not None:
        return Verdict(task, phase, task.status, now, uncounted=1, detail=said)
    return Verdict(task, phase, task.status, now + patience.backoff.delay(task.attempt, fraction), detail=said)


def _paused(verdict: Verdict, retry_after: float | None, now: int) -> Verdict:
    if retry_after is None:
        return verdict
    until = now + round(retry_after * MICROSECONDS)
    return verdict._replace(pause_until=until, next_at=max(verdict.next_at, until))


def _backed_off(verdict: Verdict, now: int, fraction: float, patience: Patience) -> Verdict:
    """It is asked too often and does not say for how long: everybody waits as this task would before its next attempt."""
    until = now + patience.backoff.delay(verdict.task.attempt, max(fraction, LEAST_PAUSE))
    return verdict._replace(pause_until=until, next_at=max(verdict.next_at, until))


def _is_over(task: Assignment, now: int, patience: Patience) -> bool:
    return task.attempt >= patience.max_attempts or now > task.sent_at + patience.max_age
