"""Wire types of tasks, and the values that travel between services and store."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from signalbox.core.times import to_datetime

Status = Literal["Not Started", "In Progress", "Completed", "Error"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
TERMINAL: Final = frozenset({"Completed", "Error"})

Phase = Literal["queued", "submitting", "unclear", "submitted", "done"]
"""What the hub is to do next with a task; ``docs/state-machines.md`` shows what leads from one to another."""

Source = Literal["client", "submit", "poll", "operator", "system"]
"""Who changed a task: whoever made it, its submission, a poll, a person, the hub by itself."""

Flag = Literal["missing", "unknown_status"]
"""What people should look at: polls miss it, or the provider's word for its state means nothing to us."""

LARGEST_ID: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""

LONGEST_MESSAGE: Final = 2_000

DEEPEST: Final = 100
"""Levels of a payload. One that is nested without end can be stored, and then no list that holds it can be encoded."""


class NewTask(msgspec.Struct, forbid_unknown_fields=True):
    """A task as clients hand it over; without ``provider`` it is tracked only."""

    id: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)] | None = None
    provider: str | None = None
    payload: dict[str, Any] | None = None
    status: Status = "Not Started"
    validation_error: Annotated[str, msgspec.Meta(max_length=LONGEST_MESSAGE)] | None = None

    def __post_init__(self) -> None:
        """Refuse a payload that is nested too deeply; decoding makes a validation error of it."""
        if self.payload and _is_deep(self.payload):
            msg = f"The payload is nested more than {DEEPEST} levels deep"
            raise ValueError(msg)


class TaskPatch(BaseModel):
    """What clients change of a task; a ``validation_error`` sets the status Error."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = None
    validation_error: Annotated[str, Field(max_length=LONGEST_MESSAGE)] | None = None


class Task(NamedTuple):
    """A task as it is stored, in the order of the columns that are read. Times are microseconds UTC."""

    id: int
    app: str
    provider: str
    """Empty where it is tracked only."""
    status: Status
    phase: Phase
    validation_error: str | None
    raw_status: str | None
    flag: Flag | None
    external_id: str | None
    reference: str
    payload: str
    """JSON."""
    attempts: int
    next_at: int
    created_at: int
    updated_at: int


@dataclass(slots=True)
class TaskOut:
    """A task as clients see it."""

    id: int
    app: str
    """Who handed it over."""
    provider: str | None
    """None: it is tracked only."""
    status: Status
    validation_error: str | None
    """Why it has failed."""
    external_id: str | None
    """The provider's id of it."""
    reference: str
    """What the provider knows it by besides: random, and new after a retry."""
    raw_status: str | None
    """The provider's word for its state, where it is none of ours."""
    flagged: Flag | None
    payload: dict[str, Any]
    attempts: int
    """How often it was sent."""
    next_attempt_at: datetime | None
    """Where it waits to be sent: not before."""
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True)
class TaskEnvelope:
    """One task."""

    task: TaskOut


@dataclass(slots=True)
class Entry:
    """One change of a task."""

    at: datetime
    status_from: Status | None
    """None: it was made."""
    status_to: Status
    source: Source
    detail: str | None


@dataclass(slots=True)
class RowResult:
    """What became of one row of a batch."""

    status: int
    """As a request of its own would have been answered: 201, 409 or 422."""
    id: int | None = None
    code: str | None = None
    detail: str | None = None


class Change(NamedTuple):
    """One change to write into the history."""

    task: int
    at: int
    status_from: str
    status_to: str
    source: Source
    detail: str | None = None


class PollOut(BaseModel):
    """How the last poll of a provider went."""

    at: datetime
    error: str | None = Field(description="Why it failed; null where it did not")
    found: int = Field(description="Elements that could be read")
    changed: int = Field(description="Tasks that it changed")
    unknown: int = Field(description="Ids of no task that is under way here")
    bad: int = Field(description="Elements that could not be read")


class LimitOut(BaseModel):
    """One limit, and how much of it is used at present."""

    limit: str = Field(examples=["50/30s"])
    used: int = Field(description="Calls that count at present, polls included")


class ProviderOut(BaseModel):
    """A provider as it stands."""

    name: str
    kind: str
    host: str
    is_default: bool = Field(description="Whether its polls update tasks that are tracked only")
    limits: list[LimitOut]
    paused_until: datetime | None = Field(description="Until when its host asked to be left alone")
    queued: int = Field(description="Tasks that wait to be submitted")
    submitting: int = Field(description="Tasks whose submission is under way or unclear")
    in_flight: int = Field(description="Tasks that are polled")
    last_poll: PollOut | None


def to_out(row: Task) -> TaskOut:
    """A task as clients see it."""
    return TaskOut(
        id=row.id,
        app=row.app,
        provider=row.provider or None,
        status=row.status,
        validation_error=row.validation_error,
        external_id=row.external_id,
        reference=row.reference,
        raw_status=row.raw_status,
        flagged=row.flag,
        payload=msgspec.json.decode(row.payload),
        attempts=row.attempts,
        next_attempt_at=to_datetime(row.next_at) if row.phase in ("queued", "unclear") else None,
        created_at=to_datetime(row.created_at),
        updated_at=to_datetime(row.updated_at),
    )


_NESTING: Final = frozenset({dict, list})


def _is_deep(payload: dict[str, Any]) -> bool:
    level: list[Any] = [payload]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for each in level:
            members = each.values() if type(each) is dict else each
            below += [member for member in members if type(member) in _NESTING]
        if not below:
            return False
        level = below
    return True


def to_text(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """A text as databases take it: no NUL, no half of a surrogate pair, not too long."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:longest]
