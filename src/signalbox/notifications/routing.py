"""Which channels a message goes to: pure functions over plain values.

Routes are tried in their order; the first that fits takes the message, and those behind it only where it says
``continue``, as in Alertmanager. A channel that several of them name gets the message once, by the first.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from signalbox.core.times import parse_span, to_datetime, to_micros
from signalbox.notifications.settings import (
    GroupSettings,
    InhibitSettings,
    MatcherSettings,
    NotificationSettings,
    QuietSettings,
    RouteSettings,
)

SEVERITIES: Final = ("info", "warning", "error", "critical")
"""From the least to the worst."""

DEFAULT: Final = "default"
"""What the default route is called."""


class Labels(NamedTuple):
    """What routes can tell messages apart by."""

    topic: str
    severity: str = "info"
    app: str | None = None
    customer: str | None = None
    metadata: Mapping[str, Any] = {}


class Way(NamedTuple):
    """One channel that a message goes to, and what its route wants of that."""

    channel: str
    route: "Route"


@dataclass(frozen=True, slots=True)
class Matcher:
    """A compiled ``MatcherSettings``."""

    topics: tuple[re.Pattern[str], ...]
    least: int
    app: re.Pattern[str] | None
    metadata: tuple[tuple[str, re.Pattern[str]], ...]

    def fits(self, labels: Labels) -> bool:
        """Whether a message is meant."""
        return (
            any(topic.fullmatch(labels.topic) for topic in self.topics)
            and rank(labels.severity) >= self.least
            and (self.app is None or self.app.fullmatch(labels.app or "") is not None)
            and all(pattern.fullmatch(_text(look_up(labels.metadata, path))) for path, pattern in self.metadata)
        )


@dataclass(frozen=True, slots=True)
class Route:
    """A compiled ``RouteSettings``."""

    name: str
    matcher: Matcher
    channels: tuple[str, ...]
    goes_on: bool
    group: GroupSettings | None
    repeat_window: int
    quiet: QuietSettings | None


@dataclass(frozen=True, slots=True)
class Inhibition:
    """A compiled ``InhibitSettings``."""

    scope: str
    source: Matcher
    target: Matcher
    equal: tuple[str, ...]
    resolved_by: re.Pattern[str] | None
    window: int


@dataclass(frozen=True, slots=True)
class Routing:
    """Everything that the settings say of the way of messages."""

    routes: tuple[Route, ...]
    default: Route | None
    inhibitions: tuple[Inhibition, ...]
    topics: tuple[str, ...]
    """Topics as routes name them."""
    channels: tuple[str, ...]
    """All channels, in the order of the settings."""


def compile_routing(settings: NotificationSettings) -> Routing:
    """The routes of the settings, ready to be asked."""
    routes = [to_route(each, f"routes[{number}]") for number, each in enumerate(settings.routes)]
    topics = dict.fromkeys(topic for route in settings.routes for topic in route.topic)
    default = None if settings.default is None else to_route(settings.default, DEFAULT)
    inhibitions = [_to_inhibition(each) for each in settings.inhibit]
    channels = tuple(each.name for each in settings.channels)
    return Routing(tuple(routes), default, tuple(inhibitions), tuple(topics), channels)


def to_route(settings: RouteSettings, name: str) -> Route:
    """A compiled route; ``name`` where the settings give it none."""
    return Route(
        settings.name or name,
        to_matcher(settings),
        tuple(settings.channels),
        settings.continue_,
        settings.group,
        parse_span(settings.repeat_window),
        settings.quiet,
    )


def to_matcher(settings: MatcherSettings) -> Matcher:
    """A compiled matcher."""
    return Matcher(
        tuple(map(to_pattern, settings.topic)),
        rank(settings.severity),
        None if settings.app is None else to_pattern(settings.app),
        tuple((path, to_pattern(value)) for path, value in settings.metadata.items()),
    )


def to_pattern(text: str) -> re.Pattern[str]:
    """A text in which ``*`` stands for any run of characters, line ends included."""
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", text))), re.DOTALL)


def find_routes(routing: Routing, labels: Labels) -> list[Route]:
    """The routes that take a message, in their order; the default where no other does; empty where none is set."""
    found: list[Route] = []
    for route in routing.routes:
        if route.matcher.fits(labels):
            found.append(route)
            if not route.goes_on:
                break
    if not found and routing.default is not None and routing.default.matcher.fits(labels):
        found.append(routing.default)
    return found


def to_ways(routes: Iterable[Route]) -> list[Way]:
    """The channels of routes, each once."""
    ways: dict[str, Way] = {}
    for route in routes:
        for channel in route.channels:
            ways.setdefault(channel, Way(channel, route))
    return list(ways.values())


def rank(severity: str) -> int:
    """The place of a severity; an unknown one counts as the least."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


def label(labels: Labels, name: str) -> str:
    """A label as text: a field of the message, or what lies at a path of its metadata; empty where there is none."""
    if name in ("topic", "severity", "app", "customer"):
        return getattr(labels, name) or ""
    return _text(look_up(labels.metadata, name))


def look_up(document: Any, path: str) -> Any:
    """What lies at a path of a JSON document, such as ``issue.labels.0.name``; None where nothing does."""
    found = document
    for step in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, Sequence) and not isinstance(found, str) and step.isdecimal() and len(step) < len("1e9"):
            found = found[int(step)] if int(step) < len(found) else None
        else:
            return None
    return found


def to_key(labels: Labels, names: Iterable[str], *more: str) -> str:
    """A short text that is equal for messages with equal labels."""
    values = [*more, *(part for name in names for part in (name, label(labels, name)))]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]


def quiet_until(quiet: QuietSettings | None, severity: str, now: int) -> int | None:
    """When the quiet hours end in which ``now`` lies (microseconds UTC); None outside of them, and for the severe."""
    if quiet is None or rank(severity) >= rank(quiet.below):
        return None
    local = to_datetime(now).astimezone(ZoneInfo(quiet.zone))
    start, end = time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)
    wall = local.time()
    within = start <= wall < end if start < end else wall >= start or wall < end
    if not within:
        return None
    day = local.date() if wall < end else local.date() + timedelta(days=1)
    # in the hour that comes twice in autumn, the wall may already be past an end that lies in its first turn
    return max(now + 1, to_micros(datetime.combine(day, end, ZoneInfo(quiet.zone))))


def _to_inhibition(settings: InhibitSettings) -> Inhibition:
    scope = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]
    resolved_by = None if settings.resolved_by is None else to_pattern(settings.resolved_by)
    return Inhibition(
        f"inhibit/{scope}",
        to_matcher(settings.source),
        to_matcher(settings.target),
        tuple(settings.equal),
        resolved_by,
        parse_span(settings.window),
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
