"""Settings under ``[criticality]``."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from signalbox.core.secrets import Secret
from signalbox.core.times import DAY, parse_span

DEFAULT_SIGNAL: Final = "default"

RESERVED: Final = frozenset({"ack", "asks", "consumers", "history", "signals", "stream"})
"""Words that stand for something else in the paths below ``/api/criticality``."""

SIGNAL: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TOPIC = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?")
_LONGEST_HOLD = 30 * DAY
_SHORTEST_TOKEN = 8


def is_signal(name: str) -> bool:
    """Whether this can be the name of a signal: lower-case letters, digits, ``.``, ``_``, ``-``; no reserved word."""
    return SIGNAL.fullmatch(name) is not None and name not in RESERVED


def _check_signal(name: str) -> str:
    if not is_signal(name):
        msg = (
            f"{name!r} is no name of a signal; use up to 64 of a-z, 0-9, '.', '_', '-', and none of the reserved words"
        )
        raise ValueError(msg)
    return name


def _check_topic(topic: str) -> str:
    if _TOPIC.fullmatch(topic) is None:
        msg = f"{topic!r} is no topic; write one as in grid.threshold, or the beginning of some as in grid.*"
        raise ValueError(msg)
    return topic


def _check_span(text: str) -> str:
    if parse_span(text) > _LONGEST_HOLD:
        msg = "is at most 30d"
        raise ValueError(msg)
    return text


def _check_token(token: Secret) -> Secret:
    if len(token.reveal()) < _SHORTEST_TOKEN:
        msg = f"a shared token has at least {_SHORTEST_TOKEN} characters"
        raise ValueError(msg)
    return token


SignalName = Annotated[str, AfterValidator(_check_signal)]
Span = Annotated[str, AfterValidator(_check_span)]


class CriticalityRule(BaseModel):
    """Events that raise a level by themselves, ``[[criticality.rules]]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: Annotated[str, AfterValidator(_check_topic)]
    """Topic of the events, or the beginning of topics as in ``grid.*``."""
    level: int
    """What the level is raised to; where it is higher already it stays."""
    signal: SignalName = DEFAULT_SIGNAL
    """Which signal is raised."""
    hold: Span = "10m"
    """How long after the last such event producers cannot lower the signal below that level."""


class CriticalitySettings(BaseModel):
    """Levels of criticality, ``[criticality]``."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    lowest: int = 1
    """The calmest level."""
    highest: int = 5
    """The most critical level."""
    alarm_level: int = 4
    """Rises that end at or above this level publish ``criticality.raised``, falls from there ``criticality.lowered``."""
    max_future: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """Seconds that a producer's clock may be ahead of the hub's."""
    max_signals: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """How many signals there may be."""
    max_wait: Annotated[float, Field(gt=0, le=600)] = 60.0
    """Seconds that ``?wait`` may last at most."""
    shared_tokens: list[Annotated[Secret, AfterValidator(_check_token)]] = []
    """Tokens that apps share on ``/secapp/update``, where the header ``App-name`` tells them apart."""
    rules: list[CriticalityRule] = []
    """Which events raise which signal."""

    @model_validator(mode="after")
    def _levels_fit(self) -> "CriticalitySettings":
        if self.lowest >= self.highest:
            msg = "lowest must lie below highest"
            raise ValueError(msg)
        for name, level in (("alarm_level", self.alarm_level), *(("rules.level", rule.level) for rule in self.rules)):
            if not self.lowest <= level <= self.highest:
                msg = f"{name} = {level} lies outside {self.lowest} to {self.highest}"
                raise ValueError(msg)
        return self
