"""When a call that failed may be sent again, how often, and how soon.

Times are seconds of ``Clock.monotonic``.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from signalbox.gateway.windows import CallWindow
from signalbox.infra.http import ConnectError, ConnectionsBusyError, HttpClientError, Timeouts

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that mean the same when they are sent twice (RFC 9110, 9.2.2); case matters (9.1)."""

WINDOW = 10.0
"""Seconds over which retries are held against calls."""

_LEAST_TIME = 0.001

Body = bytes | AsyncIterator[bytes]


class RetrySettings(BaseModel):
    """Which failed calls are sent again, ``retry`` of an upstream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retries: Annotated[int, Field(ge=0, le=5)] = 1
    """How often one call is sent again; 0: never."""
    statuses: frozenset[Annotated[int, Field(ge=502, le=504)]] = frozenset()
    """Answers after which it is sent again, of 502, 503 and 504; by default an answer is passed on whatever it is."""
    budget: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Retries in relation to the calls of the last ten seconds, at most."""
    floor: Annotated[float, Field(ge=0, le=1_000)] = 3.0
    """Retries a second that are allowed however few calls there are, on average over ten seconds."""
    backoff: Annotated[float, Field(ge=0, le=10)] = 0.025
    """Seconds before the first retry at most; twice as long before each further one."""


def may_repeat(error: HttpClientError, *, method: str, body: Body) -> bool:
    """Whether a call may be sent again that got no answer, and of whose answer nothing has gone downstream.

    - No connection: nothing was sent, hence any method and any body (a streamed one has not been begun).
    - No free connection: it is our own limit that was reached, and a retry would only press harder.
    - Else the upstream may have acted: only idempotent methods, and bodies that are in memory.

    The caller has made sure that not the request body broke off, which is the client's doing.
    """
    if isinstance(error, ConnectionsBusyError):
        return False
    return isinstance(error, ConnectError) or _is_repeatable(method, body)


def may_repeat_answer(
    settings: RetrySettings, status: int, *, method: str, body: Body, retry_after: bool = False
) -> bool:
    """Whether to send a call again whose answer has this status, and none of whose answer has gone downstream.

    One with a ``Retry-After`` header is passed on: the upstream has said that it does not want it now.
    """
    return status in settings.statuses and not retry_after and _is_repeatable(method, body)


def backoff(settings: RetrySettings, attempt: int, *, jitter: float) -> float:
    """Seconds to wait before the retry number ``attempt``, from 1; ``jitter`` is 0 to 1 (full jitter).

    Another target need not be waited for.
    """
    seconds: float = settings.backoff * 2 ** (attempt - 1) * jitter
    return seconds


def time_left(timeouts: Timeouts, spent: float) -> Timeouts | None:
    """The timeouts of an attempt when ``spent`` seconds of the call have passed; None where no time is left."""
    if timeouts.total is None:
        return timeouts
    left = timeouts.total - spent
    return Timeouts(timeouts.connect, timeouts.read, left) if left >= _LEAST_TIME else None


class RetryBudget(CallWindow):
    """Bounds the retries of one upstream, so that an outage is not made worse by them.

    ``count(now)`` is called for each call, not for its retries.
    """

    __slots__ = ("_floor", "_ratio")

    def __init__(self, settings: RetrySettings) -> None:
        super().__init__(WINDOW)
        self._ratio = settings.budget
        self._floor = settings.floor * WINDOW

    def take(self, now: float) -> bool:
        """Take leave for one retry: at most ``budget`` times the calls of the window, or ``floor`` where that is more.

        Without it, what went wrong is the call's answer.
        """
        attempts, retries = self.totals(now)
        if retries + 1 > max(self._floor, self._ratio * (attempts - retries)):
            return False
        self.count_marked(now)
        return True


def _is_repeatable(method: str, body: Body) -> bool:
    return method in IDEMPOTENT and isinstance(body, bytes)
