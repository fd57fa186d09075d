"""Wire types of notifications, and the values that travel between service and store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from signalbox.core.nesting import DEEPEST, is_too_deep
from signalbox.core.text import NO_NUL
from signalbox.notifications.settings import MatcherSettings, Severity

State = Literal["pending", "sending", "collapsed", "sent", "dead", "suppressed"]
"""Where a delivery stands; ``docs/state-machines.md`` shows what leads from one to another."""

Word = Annotated[str | None, Field(max_length=300, pattern=NO_NUL)]

MAX_TOPIC = 100
MAX_CUSTOMER = 300
MAX_KEY = 300


class AssistanceIn(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /api/assistance``."""

    topic: Annotated[str, msgspec.Meta(description="What it is about, in whatever case", max_length=MAX_TOPIC)]
    description: Annotated[str, msgspec.Meta(description="What people are to read; not empty")]
    customer: Annotated[str, msgspec.Meta(max_length=MAX_CUSTOMER)] | None = None
    metadata: dict[str, Any] = {}
    dedup_key: Annotated[str, msgspec.Meta(max_length=MAX_KEY, min_length=1)] | None = None
    severity: Severity = "info"

    def __post_init__(self) -> None:
        """Refuse metadata that no list could show; decoding makes a validation error of it."""
        if self.metadata and is_too_deep(self.metadata):
            msg = f"The metadata is nested more than {DEEPEST} levels deep"
            raise ValueError(msg)


class AssistanceOut(msgspec.Struct):
    """The message is on disk and on its way."""

    id: str
    status: Literal["accepted"]
    topic: str
    channels: list[str]
    """Where it goes; empty where it is silenced, hidden or a repetition."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to accept."""

    topic: str
    """Folded: trimmed and in lower case."""
    description: str
    source: str
    """``api``, ``hook:NAME``, ``event:ID`` or ``test``."""
    severity: str = "info"
    app: str | None = None
    customer: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    dedup_key: str | None = None


class StoredMessage(NamedTuple):
    """A message as it is kept. Times are microseconds UTC."""

    number: int
    id: str
    topic: str
    severity: str
    source: str
    app: str | None
    customer: str | None
    description: str
    metadata: Mapping[str, Any]
    dedup_key: str | None
    routes: list[str]
    created_at: int


class StoredDelivery(NamedTuple):
    """A delivery as it is kept."""

    number: int
    message: int
    channel: str
    route: str
    state: State
    attempts: int
    due_at: int
    since: int
    group_key: str | None
    carried_by: int | None
    reason: str | None
    provider_id: str | None
    ended_at: int | None


class Attempt(NamedTuple):
    """One time that something was sent or tried."""

    at: int
    micros: int
    outcome: Literal["sent", "failed", "refused"]
    """``refused``: the provider asked to wait, which does not count as a failure."""
    status: int | None
    excerpt: str
    error: str | None


class AttemptOut(BaseModel):
    """One time that something was sent or tried."""

    at: AwareDatetime
    seconds: float = Field(description="How long it took")
    outcome: Literal["sent", "failed", "refused"] = Field(description="refused: the provider asked to wait")
    status: int | None = Field(description="Status code of the answer, HTTP or SMTP")
    excerpt: str = Field(description="The beginning of the answer")
    error: str | None


class DeliveryOut(BaseModel):
    """A message on its way to one channel."""

    channel: str
    route: str = Field(description="Name of the route that chose the channel")
    state: State
    attempts: int = Field(description="Failures that count")
    due_at: AwareDatetime | None = Field(description="When it is tried next")
    reason: str | None = Field(description="Why it failed, waits or was not sent")
    provider_id: str | None = Field(description="How the provider calls it")
    carried_by: str | None = Field(description="Id of the message that tells of this one")
    ended_at: AwareDatetime | None


class DeliveryDetail(DeliveryOut):
    """A delivery with all its attempts."""

    tries: list[AttemptOut]


class MessageOut(BaseModel):
    """A message that was accepted."""

    id: str
    topic: str
    severity: str
    source: str = Field(examples=["api", "hook:bot", "event:12"])
    app: str | None
    customer: str | None
    description: str
    metadata: dict[str, Any]
    dedup_key: str | None
    routes: list[str] = Field(description="The routes that took it")
    created_at: AwareDatetime
    deliveries: list[DeliveryOut]


class MessageDetail(MessageOut):
    """A message with every attempt of each of its deliveries."""

    deliveries: list[DeliveryDetail]  # type: ignore[assignment] # narrower on purpose


class Retried(BaseModel):
    """How many dead deliveries are tried again."""

    retried: int


class RetryIn(BaseModel):
    """Which dead deliveries are to be tried again; at most 1,000 at once."""

    model_config = ConfigDict(extra="forbid")

    channel: Word = None
    topic: Word = None


class RouteTestIn(BaseModel):
    """A message that is not sent."""

    model_config = ConfigDict(extra="forbid")

    topic: Annotated[str, Field(max_length=MAX_TOPIC)]
    severity: Severity = "info"
    app: str | None = None
    customer: str | None = None
    metadata: dict[str, Any] = {}
    dedup_key: Annotated[str | None, Field(min_length=1, max_length=MAX_KEY, pattern=NO_NUL)] = None


class WayOut(BaseModel):
    """Where a message would go, and what would become of it there."""

    channel: str
    route: str
    outcome: Literal["sent", "grouped", "held", "suppressed", "disabled"] = Field(
        description="disabled: the channel takes nothing until somebody enables it, and the delivery is dead at once"
    )
    reason: str | None


class RouteTestOut(BaseModel):
    """What would happen."""

    topic: str
    routes: list[str]
    ways: list[WayOut]


class PreviewIn(RouteTestIn):
    """A message that is shown as a channel would show it, and not sent."""

    channel: Annotated[str, Field(max_length=300)]
    description: Annotated[str, Field(min_length=1, max_length=64 * 1024, pattern=NO_NUL)]


class PreviewOut(BaseModel):
    """What the channel's templates make of a message. Everything in it is plain data: a page escapes it."""

    channel: str
    title: str = Field(description="One line of plain text")
    text: str = Field(description="Plain text; the channel puts it into its own markup")
    html: str | None = Field(description="Source of the HTML that a template made; what it puts in is escaped")
    problem: str | None = Field(description="Why the channel would refuse it")


class ChannelOut(BaseModel):
    """A channel."""

    name: str
    kind: str
    state: Literal["ok", "paused", "disabled"]
    reason: str | None
    paused_until: AwareDatetime | None
    rate: str | None
    last_success: AwareDatetime | None
    backlog: int = Field(description="Deliveries that wait")
    dead: int = Field(description="Deliveries that were given up")


class ChannelTestOut(BaseModel):
    """What came of a test message."""

    id: str
    sent: bool
    status: int | None
    excerpt: str
    error: str | None
    seconds: float


class SilenceIn(BaseModel):
    """Messages that are not to be told for a time."""

    model_config = ConfigDict(extra="forbid")

    matcher: MatcherSettings
    ends_at: AwareDatetime
    starts_at: AwareDatetime | None = Field(default=None, description="Unset: now")
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)]


class SilenceOut(BaseModel):
    """A silence."""

    id: int
    matcher: MatcherSettings
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    author: str
    reason: str
    created_at: AwareDatetime
