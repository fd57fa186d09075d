"""Stops calls to an upstream that fails, and finds out by few calls when it works again (circuit breaker).

Closed, every call passes and is counted. Where too many of the last ones failed, the breaker opens: calls are
refused at once. After a while it is half-open: a few calls, the probes, pass; their success closes it, one
failure opens it again for twice as long. After M. Nygard, "Release It!" (2nd edition, 2018), chapter 5.

Times are seconds of ``Clock.monotonic`` unless said otherwise. A breaker belongs to one event loop.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from signalbox.core.errors import UnavailableError
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.windows import CallWindow
from signalbox.infra.http import ConnectionsBusyError, HttpClientError

State = Literal["closed", "open", "half_open"]

SAMPLES = 5
"""Failed calls that are remembered."""
SERVER_ERROR = 500
"""Lowest status that may tell of a failing upstream."""

_MAX_PATH = 500
_JITTER = 0.2
_FULL_WAIT = 1.0
"""Seconds after which a call may be tried again where all probes are under way."""

Status = Annotated[int, Field(ge=SERVER_ERROR, le=599)]


class BreakerSettings(BaseModel):
    """When calls to an upstream are refused, ``breaker`` of an upstream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    window: Annotated[float, Field(ge=1, le=3_600)] = 10.0
    """Seconds over which calls are counted."""
    minimum_calls: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Calls in the window below which the breaker stays closed."""
    failure_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of failed calls from which on it opens."""
    open_seconds: Annotated[float, Field(gt=0, le=86_400)] = 5.0
    """Seconds until the first probes; twice as long after each that fails, less up to a fifth at random."""
    max_open_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """Seconds between probes at most."""
    probes: Annotated[int, Field(ge=1, le=1_000)] = 3
    """Calls that may probe at once, and successes that close the breaker."""
    probe_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    """Seconds after which a probe that has not ended makes room for another."""
    ignored_statuses: frozenset[Status] = frozenset({501, 505})
    """Statuses from 500 that are no failure of the upstream: they answer what was asked."""

    @model_validator(mode="after")
    def _longer_and_longer(self) -> Self:
        if self.max_open_seconds < self.open_seconds:
            msg = "max_open_seconds is less than open_seconds"
            raise ValueError(msg)
        return self


class BreakerOpenError(UnavailableError):
    """The upstream has failed too often of late; calls are not sent for a while."""

    code = "upstream_circuit_open"


class Failure(NamedTuple):
    """A call that failed."""

    at: float
    """When it ended."""
    method: str
    path: str
    """As sent by the client, without the query."""
    outcome: str
    """Code of an error, such as ``connect_failed``, or ``status 503``."""
    request_id: str


class FailedCall(NamedTuple):
    """A ``Failure`` as it is shown."""

    at: int
    """Microseconds UTC."""
    method: str
    path: str
    outcome: str
    request_id: str


class Ticket(Protocol):
    """The leave to make one call. Whoever holds it reports once how the call ended, whatever happens to it."""

    def succeed(self, now: float) -> None:
        """The upstream answered."""
        ...

    def fail(self, failure: Failure) -> None:
        """The upstream failed."""
        ...

    def ignore(self) -> None:
        """The call says nothing of the upstream: its client left, or the gateway itself refused it."""
        ...


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A breaker as it is shown; times in microseconds UTC."""

    state: State
    reason: str
    """Why it is in this state; empty where it was never in another."""
    since: int
    retry_at: int | None
    """When probes begin, where it is open."""
    calls: int
    failed: int
    """Calls of the window and those of them that failed; 0 unless it is closed."""
    samples: tuple[FailedCall, ...]
    """The last failed calls, oldest first; at most 5."""


class _Shared(CallWindow):
    """The ticket of all calls of one closed period, and what they add up to: a call makes no object of its own."""

    __slots__ = ("_judge",)

    def __init__(self, seconds: float, judge: Callable[["_Shared", Failure], None]) -> None:
        super().__init__(seconds)
        self._judge = judge

    succeed = CallWindow.count

    def fail(self, failure: Failure) -> None:
        self.count_marked(failure.at)
        self._judge(self, failure)

    def ignore(self) -> None:
        """Not counted."""


class _Unwatched:
    """The ticket of a breaker that is switched off."""

    def succeed(self, now: float) -> None:
        """Not counted."""

    def fail(self, failure: Failure) -> None:
        """Not counted."""

    def ignore(self) -> None:
        """Not counted."""


class _Probe:
    """The ticket of one call of a half-open breaker."""

    __slots__ = ("_report", "ends", "period")

    def __init__(self, report: Callable[["_Probe", float | Failure | None], None], *, period: int, ends: float) -> None:
        self._report: Callable[[_Probe, float | Failure | None], None] | None = report
        self.period, self.ends = period, ends

    def succeed(self, now: float) -> None:
        self._end(now)

    def fail(self, failure: Failure) -> None:
        self._end(failure)

    def ignore(self) -> None:
        self._end(None)

    def _end(self, outcome: float | Failure | None) -> None:
        report, self._report = self._report, None
        if report is not None:
            report(self, outcome)


OnChange = Callable[[State, State, "Breaker"], None]


def _tell_nobody(_old: State, _new: State, _breaker: "Breaker") -> None:
    """Do nothing."""


class Breaker:
    """The breaker of one upstream.

    ``on_change(old, new, breaker)`` hears of each change once it is made. ``jitter()`` is 0 to 1.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        name: str,
        *,
        now: float,
        on_change: OnChange = _tell_nobody,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.settings, self.name = settings, name
        self.state: State = "closed"
        self.reason = ""
        self.since = now
        """When the present state began."""
        self.down_since = now
        """When the last outage began: the breaker opened, and has been closed at most once since."""
        self.samples: deque[Failure] = deque(maxlen=SAMPLES)
        self._on_change, self._jitter = on_change, jitter
        self._retry_at = now
        self._times_opened = 0
        self._period = 0
        self._successes = 0
        self._probes: set[_Probe] = set()
        """Probes under way, those of earlier half-open periods as well."""
        self._shared: Ticket | None = self._closed_ticket()

    def admit(self, now: float) -> Ticket:
        """Leave to make a call.

        Raises:
            BreakerOpenError: the call must not be made; ``retry_after`` says in how many seconds it may.
        """
        shared = self._shared
        return shared if shared is not None else self._admit_probe(now)

    def counts(self, status: int) -> bool:
        """Whether an answer with this status is a failure of the upstream."""
        return status >= SERVER_ERROR and status not in self.settings.ignored_statuses

    def reset(self, now: float) -> None:
        """Close by hand, and forget what was counted."""
        self._close(now, "reset by hand")

    def view(self, now: float, *, wall: int) -> BreakerView:
        """What there is to see; ``wall`` is the same moment as ``now`` in microseconds UTC."""
        shared = self._shared
        calls, failed = shared.totals(now) if isinstance(shared, _Shared) else (0, 0)

        def to_wall(moment: float) -> int:
            return wall + round((moment - now) * MICROSECONDS)

        return BreakerView(
            state=self.state,
            reason=self.reason,
            since=to_wall(self.since),
            retry_at=to_wall(self._retry_at) if self.state == "open" else None,
            calls=calls,
            failed=failed,
            samples=tuple(FailedCall(to_wall(each.at), *each[1:]) for each in self.samples),
        )

    # -- closed -----------------------------------------------------------------------------------------------------

    def _closed_ticket(self) -> Ticket:
        return _Shared(self.settings.window, self._judge) if self.settings.enabled else _Unwatched()

    def _judge(self, ticket: _Shared, failure: Failure) -> None:
        """Open, if this failure is one too many; one of an earlier closed period says nothing of today."""
        if ticket is not self._shared:
            return
        self._remember(failure)
        calls, failed = ticket.totals(failure.at)
        wanted = self.settings
        if calls >= wanted.minimum_calls and failed >= wanted.failure_ratio * calls:
            self.down_since = failure.at
            reason = f"{failed} of {calls} calls failed in {wanted.window:g} s, last: {failure.outcome}"
            self._open(failure.at, reason)

    def _remember(self, failure: Failure) -> None:
        self.samples.append(failure._replace(path=failure.path.partition("?")[0][:_MAX_PATH]))

    # -- open -------------------------------------------------------------------------------------------------------

    def _open(self, now: float, reason: str) -> None:
        wanted = self.settings
        doublings = min(self._times_opened, 64)  # no float grows beyond bounds, however long the outage
        self._times_opened += 1
        seconds = min(wanted.max_open_seconds, wanted.open_seconds * 2**doublings)
        self._retry_at = now + seconds * (1 - _JITTER * self._jitter())
        self._shared = None
        self._change("open", now, reason)

    def _refusal(self, seconds: float) -> BreakerOpenError:
        msg = f"the upstream {self.name} has failed too often of late; calls to it are refused for a while"
        return BreakerOpenError(msg, retry_after=seconds)

    # -- half-open --------------------------------------------------------------------------------------------------

    def _admit_probe(self, now: float) -> Ticket:
        if now < self._retry_at:
            raise self._refusal(self._retry_at - now)
        if self.state == "open":
            self._change("half_open", now, "some calls are let through to probe")
        if len(self._probes) >= self.settings.probes:
            self._probes = {each for each in self._probes if now < each.ends}
        if len(self._probes) >= self.settings.probes:
            raise self._refusal(_FULL_WAIT)
        probe = _Probe(self._end_probe, period=self._period, ends=now + self.settings.probe_seconds)
        self._probes.add(probe)
        return probe

    def _end_probe(self, probe: _Probe, outcome: float | Failure | None) -> None:
        """Take a probe's result; None says nothing. One of an earlier half-open period is late and counts no more."""
        self._probes.discard(probe)
        if probe.period != self._period:
            return
        if isinstance(outcome, Failure):
            self._remember(outcome)
            self._open(outcome.at, f"a probe failed: {outcome.outcome}")
        elif outcome is not None:
            self._successes += 1
            if self._successes >= self.settings.probes:
                self._close(outcome, f"{self._successes} probes succeeded")

    def _close(self, now: float, reason: str) -> None:
        self._times_opened = 0
        self._shared = self._closed_ticket()
        self._change("closed", now, reason)

    def _change(self, new: State, now: float, reason: str) -> None:
        old, self.state = self.state, new
        self.since, self.reason = now, reason
        self._period += 1
        self._successes = 0
        if old != new:
            self._on_change(old, new, self)


def is_failure(error: HttpClientError) -> bool:
    """Whether an error of the HTTP client is a failure of the upstream.

    Too many connections of our own are not. That a request body broke off is not either: the caller looks for that.
    """
    return not isinstance(error, ConnectionsBusyError)
