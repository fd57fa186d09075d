"""Events that raise a level by themselves."""

from sqlalchemy import Connection

from signalbox.core.times import parse_span
from signalbox.criticality.schemas import LONGEST_REASON
from signalbox.criticality.service.report import Announce, Report, raise_level
from signalbox.criticality.settings import CriticalityRule, CriticalitySettings
from signalbox.infra.events import StoredEvent, Subscriber

HUB = "hub"
"""The app that a level raised by a rule is set by."""


def to_subscribers(settings: CriticalitySettings, announce: Announce) -> list[Subscriber]:
    """One subscriber, who follows all rules; none where there are no rules."""
    if not settings.rules:
        return []

    def handle(tx: Connection, event: StoredEvent, now: int) -> None:
        follow(tx, event, settings=settings, announce=announce, now=now)

    return [Subscriber("criticality.rules", sorted({rule.topic for rule in settings.rules}), handle)]


def follow(tx: Connection, event: StoredEvent, *, settings: CriticalitySettings, announce: Announce, now: int) -> None:
    """Raise what the rules for an event say; the highest of the rules of a signal counts."""
    for rule in _rules_for(event.topic, settings):
        what = Report(rule.signal, rule.level, now, HUB, f"event {event.topic} {event.id}"[:LONGEST_REASON])
        raise_level(tx, what, hold=parse_span(rule.hold), settings=settings, announce=announce, now=now)


def _rules_for(topic: str, settings: CriticalitySettings) -> list[CriticalityRule]:
    """Highest first: the first then raises at once, and the others change nothing. By signal, to lock in one order."""
    wanted = [rule for rule in settings.rules if _matches(rule.topic, topic)]
    return sorted(wanted, key=lambda rule: (rule.signal, -rule.level))


def _matches(pattern: str, topic: str) -> bool:
    return topic.startswith(pattern[:-1]) if pattern.endswith(".*") else topic == pattern
