"""Levels as they are told: to apps, and from process to process."""

import msgspec

from signalbox.core.times import to_rfc3339
from signalbox.criticality.models import Current
from signalbox.criticality.schemas import LevelOut


def level_out(current: Current) -> LevelOut:
    """A level as apps are told of it."""
    return LevelOut(current.level, current.revision, to_rfc3339(current.changed_at), current.set_by, current.reason)


def encode_level(current: Current) -> bytes:
    """The body of an answer that tells of a change."""
    return msgspec.json.encode(level_out(current))


def to_message(current: Current) -> str:
    """A level as processes tell each other of it."""
    return msgspec.json.encode(current).decode()


def from_message(message: str) -> Current:
    """The level that ``to_message`` wrote.

    Raises:
        msgspec.DecodeError: another release wrote something else.
    """
    return msgspec.json.decode(message, type=Current)
