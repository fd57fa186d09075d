"""What a job is, and what its handler may say of it."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection

from signalbox.core.errors import InvalidError
from signalbox.core.times import DAY
from signalbox.infra.jobs.backoff import Backoff

State = Literal["waiting", "running", "done", "dead", "cancelled"]
"""Where a job stands; ``docs/state-machines.md`` shows what leads from one to another."""

Priority = Literal[-1, 0, 1]
"""Of the due jobs of a kind those with 1 run first, those with -1 last."""

PRIORITIES: tuple[Priority, ...] = (1, 0, -1)

ABOUT = "about"
"""Key of the payload under which a job that tells people of an event says which topic that has."""

MAX_ATTEMPTS = 20
MAX_AGE = 7 * DAY

_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_LONGEST_KIND = 100
_LONGEST_KEY = 300
_LONGEST_ERROR = 500


def check_kind(kind: str) -> None:
    """Refuse what cannot be the name of a kind.

    Raises:
        InvalidError: it is not feature and verb in lower case, such as ``tasks.submit``.
    """
    if len(kind) > _LONGEST_KIND or _KIND.fullmatch(kind) is None:
        msg = f"{kind!r} is no kind of job; write words in lower case with dots between, as in tasks.submit"
        raise InvalidError(msg)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue.

    Raises:
        InvalidError: a field is not of the form below.
    """

    kind: str
    """Feature and verb, such as ``tasks.submit``: the name that its handler is registered by."""
    payload: Mapping[str, Any]
    """What the handler needs; JSON-safe, better ids than contents, no secrets.

    A job that tells people of an event has its topic under ``ABOUT``: where that is ``job.dead``, nobody is told of the
    death of the job itself, which might fail for the same reason for ever.
    """
    due_at: int | None = None
    """Microseconds UTC before which it does not run; None: at once."""
    key: str | None = None
    """While a job of the kind with the same key waits or runs, no other is taken; 1 to 300 characters, no NUL."""
    priority: Priority = 0
    max_attempts: int = MAX_ATTEMPTS
    """It is dead when as many attempts have failed. An attempt counts when it begins."""
    max_age: int = MAX_AGE
    """Microseconds from when it was enqueued; an attempt that fails later, or would be repeated later, is the last."""
    traceparent: str | None = None
    """The trace context of the caller (W3C Trace Context)."""

    def __post_init__(self) -> None:
        check_kind(self.kind)
        key = self.key
        if key is not None and ("\0" in key or not key.isprintable() or not 0 < len(key) <= _LONGEST_KEY):
            msg = f"the key of a job has 1 to {_LONGEST_KEY} printable characters"
            raise InvalidError(msg)
        if self.priority not in PRIORITIES or self.max_attempts < 1 or self.max_age < 0:
            msg = "a job has priority -1, 0 or 1, at least one attempt, and an age of at least 0"
            raise InvalidError(msg)


class Job(NamedTuple):
    """A job that a worker has claimed, as its handler gets it."""

    id: int
    kind: str
    payload: dict[str, Any]
    attempt: int
    """Which attempt this is, from 1 on."""
    max_attempts: int
    claim: int
    """How often it has been claimed; the fencing token: what an earlier claim reports changes nothing."""
    lease_until: int
    """Microseconds UTC until which nobody else takes it; the worker extends it meanwhile."""
    due_at: int
    priority: Priority
    key: str | None
    since: int
    """When its age began: when it was enqueued or last replayed."""
    max_age: int
    traceparent: str | None

    @property
    def is_last_attempt(self) -> bool:
        """Whether it is dead if this attempt fails."""
        return self.attempt >= self.max_attempts


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as it is listed. Times are microseconds UTC."""

    id: int
    kind: str
    state: State
    payload: dict[str, Any]
    key: str | None
    priority: Priority
    due_at: int
    created_at: int
    started_at: int | None
    """When its last attempt began."""
    ended_at: int | None
    attempts: int
    """How many attempts have begun and count."""
    max_attempts: int
    claim: int
    worker: str | None
    """Which process had it last."""
    lease_until: int | None
    cancel_at: int | None
    """When somebody asked for its end."""
    error: str | None
    """Why its last attempt failed, or what it waits for."""
    traceparent: str | None


Then = Callable[[Connection], object]
"""Work in the transaction that records an outcome: both are kept or neither. Runs only while the claim is current."""


class Done(NamedTuple):
    """The work is done."""

    then: Then | None = None


class Snooze(NamedTuple):
    """Not now: a budget is used up, or a server said Retry-After. No attempt counts, the lease is given back."""

    until: int
    """Microseconds UTC."""
    reason: str | None = None
    then: Then | None = None


class Fail(NamedTuple):
    """It failed and always would: the job is dead at once."""

    error: str
    then: Then | None = None


Outcome = Done | Snooze | Fail

Handler = Callable[[Job], Awaitable[Outcome | None]]
"""Does a job. None means done; any exception is a failed attempt, which is repeated later."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a worker runs the jobs of a kind.

    Raises:
        InvalidError: no job could ever run.
    """

    handle: Handler
    concurrency: int = 10
    """How many run at once in one process."""
    timeout: float | None = None
    """Seconds after which an attempt is cancelled and has failed."""
    backoff: Backoff = field(default_factory=Backoff)
    forgets: bool = False
    """Whether its jobs are deleted when they are done, instead of kept for a time: for what is done every few seconds."""

    def __post_init__(self) -> None:
        if self.concurrency < 1 or (self.timeout is not None and self.timeout <= 0):
            msg = "a kind of job has a concurrency of at least 1 and a timeout above 0"
            raise InvalidError(msg)


class Report(NamedTuple):
    """What is to be recorded of an attempt that has ended. A claim is reported once."""

    job: Job
    state: State
    due_at: int
    """When it is to run next, where ``state`` is waiting."""
    uncounted: int = 0
    """1 where the attempt does not count."""
    error: str | None = None
    then: Then | None = None
    forgets: bool = False
    """Whether the job is deleted, where ``state`` is done."""


def to_text(error: str) -> str:
    """An error's text as databases take it: no NUL, no half of a surrogate pair, at most 500 characters."""
    return error.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:_LONGEST_ERROR]
