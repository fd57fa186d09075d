"""Who hears of events."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from signalbox.core.errors import InvalidError
from signalbox.infra.events.tables import StoredEvent

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_LONGEST_NAME = 100
PATTERN = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?|\*")
"""A topic, the beginning of topics as in ``gateway.*``, or ``*`` for all."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One who hears of each event of some topics, at least once, in a job of its own.

    Raises:
        InvalidError: a field is not of the form below.
    """

    name: str
    """What it is known by in jobs, lower case: the same in every process and release."""
    topics: Sequence[str]
    """Topics, and beginnings of topics as in ``gateway.*``; ``*`` stands for all."""
    handle: Callable[[Connection, StoredEvent, int], None]
    """``handle(tx, event, now)`` in the transaction that records the job as done; ``now`` in microseconds UTC.

    What it raises undoes what it wrote, and it is called again later."""

    def __post_init__(self) -> None:
        if len(self.name) > _LONGEST_NAME or _NAME.fullmatch(self.name) is None:
            msg = f"{self.name!r} is no name of a subscriber; write words in lower case with dots between"
            raise InvalidError(msg)
        if not self.topics or any(PATTERN.fullmatch(topic) is None for topic in self.topics):
            msg = f"{self.name} subscribes to {list(self.topics)}; name topics, or beginnings of some as in gateway.*"
            raise InvalidError(msg)

    def wants(self, topic: str) -> bool:
        """Whether it is to hear of events with this topic."""
        return any(_matches(pattern, topic) for pattern in self.topics)


def _matches(pattern: str, topic: str) -> bool:
    return topic.startswith(pattern[:-1]) if pattern.endswith("*") else topic == pattern
