"""Settings under ``[notifications]``."""

from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from signalbox.core.registry import NAME, OneOf, PluginSettings
from signalbox.core.secrets import Secret
from signalbox.core.text import NO_NUL
from signalbox.core.times import DAY, parse_span
from signalbox.notifications.channel_settings import Span

Severity = Literal["info", "warning", "error", "critical"]

Name = Annotated[str, Field(pattern=NAME)]

PACKAGE: Final = "signalbox.notifications.channels"
"""Where ``core.registry`` looks for kinds of channels."""

_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_PATH = r"^[^.\x00]+(\.[^.\x00]+)*$"


def _fold(topic: str) -> str:
    folded = topic.strip().lower()
    if not folded:
        msg = "is empty; write a topic, or * for all"
        raise ValueError(msg)
    return folded


def _check_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = "is no time zone that this machine knows; write one as in Europe/Berlin, or UTC"
        raise ValueError(msg) from None
    return zone


def _check_short(text: str) -> str:
    if parse_span(text) > DAY:
        msg = "is at most 1d"
        raise ValueError(msg)
    return text


Pattern = Annotated[str, AfterValidator(_fold), Field(max_length=100)]
"""A topic, in which ``*`` stands for any run of characters."""
ShortSpan = Annotated[Span, AfterValidator(_check_short)]
Text = Annotated[str, Field(pattern=NO_NUL)]
"""Any text that can be kept: without NUL, and by the check of it without halves of surrogate pairs."""
Path = Annotated[str, Field(pattern=_PATH, max_length=200)]
"""Where in a JSON document: keys and positions with dots between, such as ``issue.labels.0.name``."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)


class MatcherSettings(_Table):
    """Which messages are meant: those that fit every field; an unset field fits all."""

    topic: list[Pattern] = ["*"]
    """One topic or several; ``*`` stands for any run of characters: ``task.*``."""
    severity: Severity = "info"
    """The lowest that is meant."""
    app: Text | None = None
    """Name of the app, where ``*`` stands for any run of characters."""
    metadata: dict[Path, Text] = {}
    """Values by their path in the metadata; ``*`` stands for any run of characters."""

    @field_validator("topic", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class QuietSettings(_Table):
    """Hours in which messages are held back; they are sent when these end."""

    start: Annotated[str, Field(pattern=_TIME)]
    """``22:00``."""
    end: Annotated[str, Field(pattern=_TIME)]
    """``07:00``; before ``start`` it is meant of the next day."""
    zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    """``Europe/Berlin``; where its clocks are put forward or back, wall time counts."""
    below: Severity = "critical"
    """Messages of this severity and above are sent at once all the same."""

    @model_validator(mode="after")
    def _not_empty(self) -> "QuietSettings":
        if self.start == self.end:
            msg = "start and end are the same; leave quiet out, or name hours that differ"
            raise ValueError(msg)
        return self


class GroupSettings(_Table):
    """Messages with equal labels are told of together."""

    by: Annotated[list[str], Field(min_length=1, max_length=10)] = ["topic"]
    """Labels: ``topic``, ``severity``, ``app``, ``customer``, or the path of something in the metadata."""
    wait: ShortSpan = "30s"
    """From the first message of a new group until it is told of with all that came meanwhile."""
    interval: ShortSpan = "5m"
    """From then on, between two messages of the same group."""


class RouteSettings(MatcherSettings):
    """Where messages go, one of ``[[notifications.routes]]``. They are tried in the order in which they stand."""

    name: Name | None = None
    """What it is called in answers; unset: its position."""
    channels: Annotated[list[str], Field(min_length=1)]
    """Names of channels."""
    continue_: Annotated[bool, Field(alias="continue")] = False
    """Whether the routes behind it are tried too."""
    group: GroupSettings | None = None
    repeat_window: ShortSpan = "5m"
    """Span in which a message with the same ``dedup_key`` is not told of again."""
    quiet: QuietSettings | None = None


class InhibitSettings(_Table):
    """A raised message hides lesser ones, one of ``[[notifications.inhibit]]``."""

    source: MatcherSettings
    """Messages that hide others."""
    target: MatcherSettings
    """What they hide; never themselves."""
    equal: Annotated[list[str], Field(max_length=10)] = []
    """Labels that must be equal, as in ``group.by``."""
    resolved_by: Pattern | None = None
    """Topic of the message with the same labels that ends it, such as ``gateway.upstream_up``."""
    window: ShortSpan = "1h"
    """How long a message counts as raised, if nothing ends it before."""


class HookSettings(_Table):
    """A door for bots that cannot send our JSON, one of ``[[notifications.hooks]]``: ``POST /api/hooks/NAME``."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    auth: Literal["token", "standard", "github"] = "token"
    """How requests prove themselves: a token in the header ``X-Hook-Token``, as ``Authorization: Bearer`` or as
    query parameter ``token``; a signature of Standard Webhooks; ``X-Hub-Signature-256`` as GitHub signs."""
    secrets: Annotated[list[Secret], Field(min_length=1)]
    """The token or the key of the signature; more than one while it is changed."""
    tolerance: ShortSpan = "5m"
    """Age beyond which a signed request is refused; within it a repeated one makes no second message."""
    topic: str | None = None
    """The topic of all its messages."""
    topic_path: Path | None = None
    """Where the body says the topic."""
    description_path: Path = "description"
    severity: Severity = "info"
    """Severity where the body does not say."""
    severity_path: Path | None = None
    customer_path: Path | None = None
    dedup_path: Path | None = None
    metadata: dict[Name, Path] = {}
    """Name in the metadata -> where in the body."""

    @model_validator(mode="after")
    def _some_topic(self) -> "HookSettings":
        if self.topic is None and self.topic_path is None:
            msg = "needs topic, topic_path or both"
            raise ValueError(msg)
        return self


class NotificationSettings(_Table):
    """Messages and where they go, ``[notifications]``."""

    channels: list[Annotated[PluginSettings, OneOf(PACKAGE)]] = []
    """The ways to tell people."""
    routes: list[RouteSettings] = []
    """Which message goes where."""
    default: RouteSettings | None = None
    """For messages that no route takes."""
    inhibit: list[InhibitSettings] = []
    hooks: list[HookSettings] = []
    allow_private_targets: bool = False
    """Whether addresses that messages or templates name may lie in private networks."""
    restart_spread: Span = "30s"
    """Retries that are overdue, as after a restart, are spread over so long."""

    @model_validator(mode="after")
    def _names_differ(self) -> "NotificationSettings":
        for what, names in (
            ("channels", [each.name for each in self.channels]),
            ("routes", [each.name for each in self.routes if each.name]),
            ("hooks", [each.name for each in self.hooks]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                msg = f"two of the {what} have the name {twice[0]!r}"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _channels_exist(self) -> "NotificationSettings":
        known = {each.name for each in self.channels}
        places = [(f"routes[{number}]", route) for number, route in enumerate(self.routes)]
        places += [] if self.default is None else [("default", self.default)]
        for place, route in places:
            for name in route.channels:
                if name not in known:
                    msg = f"{place}.channels names {name!r}; the channels are: {', '.join(sorted(known)) or 'none'}"
                    raise ValueError(msg)
        return self
