"""Wire types of criticality."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from signalbox.core.text import NO_NUL
from signalbox.core.times import parse_span
from signalbox.criticality.settings import DEFAULT_SIGNAL, SignalName

Why = Literal["older", "same_time", "held"]
"""Why a report did not become current: an older time, another level at the same time, a rule that holds the level."""

State = Literal["unseen", "seen", "silent", "muted", "retired"]
"""Where a consumer stands; ``docs/state-machines.md`` shows what leads from one to another."""

LONGEST_REASON = 500

NEVER = "none"
"""As the interval of a consumer: nobody minds whether it asks."""


def _check_interval(text: str) -> str:
    if text != NEVER:
        parse_span(text)
    return text


# -- what producers say, and are told ---------------------------------------------------------------------------------


class NewLevel(Struct, forbid_unknown_fields=True):
    """``POST /api/criticality``."""

    level: int
    changed_at: Annotated[datetime, Meta(tz=True)]
    """When it changed, by the producer's clock, with a zone."""
    reason: Annotated[str, Meta(max_length=LONGEST_REASON, pattern=NO_NUL)] | None = None


class LevelOut(Struct):
    """What a signal stands at."""

    level: int
    revision: int
    """Orders the changes of a signal; never given twice."""
    changed_at: str
    """When it changed, by the producer's clock."""
    set_by: str
    reason: str | None


class Kept(Struct):
    """What became of a report."""

    revision: int
    """The number under which it is kept; of the current level where it said the same."""
    accepted: bool
    """Whether it is, or was already, what the signal stands at."""
    why: Why | None
    """Why not: an older time, another level at the same time, or a rule that holds the level up."""
    current: LevelOut
    """What the signal stands at now."""


class News(Struct):
    """What a signal stands at if that is news to the app, else ``{}``."""

    level: int | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    changed_at: str | UnsetType = UNSET
    set_by: str | UnsetType = UNSET
    reason: str | UnsetType | None = UNSET


class Acknowledged(Struct, forbid_unknown_fields=True):
    """``POST /api/criticality/ack``: the app has the change."""

    revision: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    signal: str = DEFAULT_SIGNAL


# -- the clients of Secapp --------------------------------------------------------------------------------------------


class SecappStatus(Struct):
    """``POST /secapp/update``."""

    current_status: int
    Change_at: datetime
    """UTC where it has no zone."""


class SecappProcessed(Struct):
    """Its answer."""

    processed_id: int


class SecappNews(Struct):
    """``GET /secapp/update``: what has changed if that is news to the app, else ``{}``."""

    current_status: int | UnsetType = UNSET
    status_change_id: int | UnsetType = UNSET
    Change_at: str | UnsetType = UNSET


# -- what people see --------------------------------------------------------------------------------------------------


class SignalOut(BaseModel):
    """One signal, as everybody may look at it; to look tells no app anything."""

    signal: str
    level: int
    revision: int
    changed_at: AwareDatetime
    received_at: AwareDatetime
    set_by: str
    reason: str | None


class ChangeOut(SignalOut):
    """One report, as ``GET /api/criticality/history`` lists it."""

    accepted: bool
    why: Why | None


class ConsumerOut(BaseModel):
    """One consumer of a signal."""

    app: str
    signal: str
    state: State
    interval: str | None
    """How often it is expected to ask at least."""
    overdue: bool
    """Whether it should have asked by now."""
    requests: int
    first_asked_at: AwareDatetime | None
    last_asked_at: AwareDatetime | None
    silent_since: AwareDatetime | None
    """When its silence was noticed."""
    revision: int | None
    """The newest it was told of; it may not have got the answer."""
    delivered_at: AwareDatetime | None
    acknowledged: int | None
    """The newest that it said it has."""
    acknowledged_at: AwareDatetime | None
    lag: int
    """Revisions between what it was told of and what the signal stands at."""
    lag_seconds: float
    """How long it has not been told of what the signal stands at; 0 where it was."""
    registered_at: AwareDatetime | None
    retired_at: AwareDatetime | None


class NewConsumer(BaseModel):
    """``POST /api/criticality/consumers``: who is expected to ask; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    app: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[!-~]([ -~]*[!-~])?$")]
    signal: SignalName = DEFAULT_SIGNAL
    interval: Annotated[str, AfterValidator(_check_interval)] | None = None
    """How often it should ask at least, such as `5m`, at least 1s; `none`: nobody minds."""
    muted: bool | None = None
    """Whether its silence is to be passed over."""


class AsksOut(BaseModel):
    """How often apps asked in one minute."""

    minute: AwareDatetime
    asks: int


class LevelByHand(BaseModel):
    """``POST /api/criticality/signals/{signal}``: a manager sets a level, as of now."""

    model_config = ConfigDict(extra="forbid")

    level: int
    reason: Annotated[str, Field(max_length=LONGEST_REASON, pattern=NO_NUL)] | None = None


class LevelSet(BaseModel):
    """What became of it."""

    revision: int
    level: int


class Step(BaseModel):
    """What a signal stood at from a moment on, until the next step."""

    at: AwareDatetime
    """When the hub heard of it; the first step may be older than the period."""
    level: int
    lowest: int
    highest: int
    """Extremes of what one step stands for, where a period has more changes than there are to be steps."""
    set_by: str
    reason: str | None


class AppAsksOut(BaseModel):
    """How often an app asked for a signal in a period."""

    app: str
    signal: str
    asks: int
    share: float
    """Of all asks of the period, 0 to 1."""
