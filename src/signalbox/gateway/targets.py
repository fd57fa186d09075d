"""The servers behind one upstream: which takes the next call, and which are left out for a while.

A target that fails several times in a row is ejected (passive health check): it is asked no more until some
seconds have passed. Times are seconds of ``Clock.monotonic`` unless said otherwise.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from signalbox.core.errors import InvalidError
from signalbox.core.times import MICROSECONDS
from signalbox.infra.http import parse_origin

Policy = Literal["round_robin", "least_in_flight"]

_NEVER = math.inf
_in_flight = attrgetter("in_flight")


class TargetSettings(BaseModel):
    """How calls are spread over several targets, ``targets`` of an upstream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Policy = "round_robin"
    """``round_robin``: one after the other; ``least_in_flight``: the one with the fewest calls under way."""
    consecutive_failures: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    """Failures in a row for which a target is ejected."""
    ejection_seconds: Annotated[float, Field(gt=0, le=86_400)] = 10.0
    """Seconds that the first ejection lasts; each further one lasts twice as long as the one before."""
    max_ejection_seconds: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """Seconds that an ejection lasts at most. After as long a time without one, the next is a first one again."""

    @model_validator(mode="after")
    def _longer_and_longer(self) -> Self:
        if self.max_ejection_seconds < self.ejection_seconds:
            msg = "max_ejection_seconds is less than ejection_seconds"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, slots=True)
class TargetView:
    """A target as it is shown; times in microseconds UTC."""

    url: str
    in_flight: int
    failures_in_a_row: int
    ejected_until: int | None
    """None where it is in."""
    ejections: int
    """Ejections that followed each other."""


class Target:
    """One server. Whoever picked it says once how the call ended: ``succeed``, ``fail`` or ``ignore``."""

    __slots__ = ("_owner", "base", "ejected_until", "ejections", "failures_in_a_row", "in_flight", "origin", "url")

    def __init__(self, url: str, owner: "Targets") -> None:
        self.url = url
        self.origin, self.base = parse_origin(url)
        self.in_flight = 0
        self.failures_in_a_row = 0
        self.ejections = 0
        self.ejected_until = 0.0
        self._owner = owner

    def succeed(self) -> None:
        """The target answered."""
        self.in_flight -= 1
        self.failures_in_a_row = 0

    def fail(self, now: float) -> None:
        """The target failed."""
        self.in_flight -= 1
        self.failures_in_a_row += 1
        self._owner.note_failure(self, now)

    def ignore(self) -> None:
        """The call says nothing of the target."""
        self.in_flight -= 1


class Targets:
    """The targets of one upstream, in one event loop.

    Raises:
        InvalidError: there is no target, or an address is none.
    """

    def __init__(self, urls: Sequence[str], settings: TargetSettings) -> None:
        if not urls:
            msg = "an upstream needs at least one target"
            raise InvalidError(msg)
        self.settings = settings
        self.all = tuple(Target(url, self) for url in urls)
        self.only = self.all[0] if len(self.all) == 1 else None
        """The target where there is one alone."""
        self._in: Sequence[Target] = self.all
        self._turn = -1
        self._next_return = _NEVER

    @property
    def in_flight(self) -> int:
        """Calls under way to all targets."""
        return sum(each.in_flight for each in self.all)

    def pick(self, now: float, *, exclude: Collection[Target] = ()) -> Target:
        """The target of the next call, which counts as under way from now on.

        An ejected one is picked only where all are ejected. One of ``exclude``, which a call has tried before, is
        picked only where no other remains.
        """
        target = self.only
        if target is None:
            target = self._choose(now, exclude)
        target.in_flight += 1
        return target

    def note_failure(self, target: Target, now: float) -> None:
        """Eject a target that has failed too often; one that failed since it came back is ejected at once."""
        wanted = self.settings
        if self.only is not None or target.failures_in_a_row < wanted.consecutive_failures:
            return
        if now < target.ejected_until:
            return  # a call from before the ejection
        if now - target.ejected_until >= wanted.max_ejection_seconds:
            target.ejections = 0
        seconds = min(wanted.max_ejection_seconds, wanted.ejection_seconds * 2 ** min(target.ejections, 64))
        target.ejections += 1
        target.ejected_until = now + seconds
        self._sort(now)

    def views(self, now: float, *, wall: int) -> list[TargetView]:
        """What there is to see; ``wall`` is the same moment as ``now`` in microseconds UTC."""
        return [
            TargetView(
                url=each.url,
                in_flight=each.in_flight,
                failures_in_a_row=each.failures_in_a_row,
                ejected_until=wall + round((each.ejected_until - now) * MICROSECONDS)
                if now < each.ejected_until
                else None,
                ejections=each.ejections,
            )
            for each in self.all
        ]

    def _choose(self, now: float, exclude: Collection[Target]) -> Target:
        if now >= self._next_return:
            self._sort(now)
        among = self._in
        if exclude:
            among = [each for each in among if each not in exclude] or among
        turn = self._turn = (self._turn + 1) % len(among)
        if self.settings.policy == "round_robin":
            return among[turn]
        # in turns as well: of several with as few calls the first wins, and it should not always be the same one
        return min((*among[turn:], *among[:turn]), key=_in_flight)

    def _sort(self, now: float) -> None:
        """Note which targets are in, all where none would be, and when the next one comes back."""
        self._in = [each for each in self.all if now >= each.ejected_until] or self.all
        self._next_return = min((each.ejected_until for each in self.all if now < each.ejected_until), default=_NEVER)
