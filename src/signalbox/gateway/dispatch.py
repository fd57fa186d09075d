"""Sends the calls of one upstream: as its breaker allows, to one of its targets, and again where that may help."""

import asyncio
import functools
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple

from signalbox.core.errors import SignalboxError
from signalbox.gateway.body import ClientGoneError
from signalbox.gateway.breaker import SERVER_ERROR, Breaker, OnChange, is_failure
from signalbox.gateway.errors import (
    BodyTooLargeError,
    UpstreamBusyError,
    UpstreamFailedError,
    UpstreamTimeoutError,
)
from signalbox.gateway.exchange import Exchange
from signalbox.gateway.headers import Header
from signalbox.gateway.report import FailureLog
from signalbox.gateway.retries import RetryBudget, backoff, may_repeat, may_repeat_answer, time_left
from signalbox.gateway.settings import UpstreamSettings
from signalbox.gateway.targets import Target, Targets
from signalbox.infra.clock import Clock
from signalbox.infra.http import (
    Begun,
    ConnectError,
    ConnectionsBusyError,
    HttpClient,
    HttpClientError,
    Request,
    Response,
    ResponseTimeoutError,
    Timeouts,
)

_new_request: Callable[[tuple[Any, ...]], Request] = functools.partial(tuple.__new__, Request)
"""``Request(*values)`` without its keyword handling, which takes longer than the rest of making one."""

Outgoing = tuple[bytes, bytes, list[Header], bytes | AsyncIterator[bytes], int | None, bytes]
"""A call as it is sent, but for the target that takes it: method, path and query behind the path of the target's
address, headers, body, its length (None: sent in chunks), protocol to upgrade to (empty: none)."""
BODY: Final = 3


class _Again(NamedTuple):
    """Another try."""

    pause: float
    """Seconds before it."""
    timeouts: Timeouts


class Dispatcher:
    """The way to one upstream. ``breaker``, ``targets`` and ``client`` are there to be looked at."""

    def __init__(
        self, settings: UpstreamSettings, *, client: HttpClient, clock: Clock, log: FailureLog, on_change: OnChange
    ) -> None:
        self.breaker = Breaker(settings.breaker, settings.name, now=clock.monotonic(), on_change=on_change)
        self.targets = Targets(settings.all_urls, settings.targets)
        self._name, self._retry, self._timeouts = settings.name, settings.retry, settings.timeouts
        self._budget = RetryBudget(settings.retry)
        self.client, self._monotonic, self._log = client, clock.monotonic, log

    def begin(self, exchange: Exchange, call: Outgoing, on_news: Callable[[], None]) -> Begun | None:
        """Send a call at once, as ``HttpClient.begin``; None where that needs waiting or a choice: nothing was done.

        Once there are news, an answer with a status below 500 may be taken; anything else ``send`` goes on with.
        """
        target = self.targets.only
        if target is None or self.breaker.state != "closed":
            return None
        begun = self.client.begin(_to_request(call, target, self._timeouts), on_news)
        if begun is not None:
            self._admit(exchange)
        return begun

    async def send(self, exchange: Exchange, call: Outgoing, begun: Begun | None = None) -> Response:
        """Send a call, unless it was ``begun``, and wait for the head of its answer.

        The exchange notes the attempt under way; whoever reads the answer tells it how that ended.

        Raises:
            SignalboxError: as the client is to be told, among them BreakerOpenError, UpstreamFailedError and
                UpstreamTimeoutError; what went wrong with the request's own body is raised as it is.
        """
        target = exchange.target if begun is not None else None
        if target is None:
            target = self._admit(exchange)
        timeouts = self._timeouts
        tried: list[Target] = []
        while True:
            request = _to_request(call, target, timeouts)
            try:
                response = await (self.client.send(request) if begun is None else self.client.follow(begun, request))
            except HttpClientError as error:
                again = self._plan(exchange, tried) if self._is_repeatable(exchange, call, error, tried) else None
                if again is None:
                    raise self.fail(exchange, error) from error
                self._log.report(self._name, error)
            else:
                if response.status < SERVER_ERROR or not self.breaker.counts(response.status):
                    return response
                again = self._plan(exchange, tried) if self._is_answer_to_repeat(exchange, call, response) else None
                if again is None:
                    exchange.fail(self._monotonic(), f"status {response.status}")
                    return response
                response.close()
            begun = None
            exchange.fail_attempt(self._monotonic())
            tried.append(target)
            await asyncio.sleep(again.pause)
            timeouts = again.timeouts
            target = exchange.target = self.targets.pick(self._monotonic(), exclude=tried)

    def _admit(self, exchange: Exchange) -> Target:
        """Leave to make the call, and the target of its first attempt."""
        now = exchange.started
        exchange.ticket = self.breaker.admit(now)
        self._budget.count(now)
        target = exchange.target = self.targets.pick(now)
        return target

    def fail(self, exchange: Exchange, error: HttpClientError) -> SignalboxError:
        """Note that the call failed; returns what the client is to be told."""
        own = own_failure(error)
        if own is not None:
            error.__cause__ = None  # it is raised from ``error``: else each would keep the other, and all that came
            return own
        self._log.report(self._name, error)
        if is_failure(error):
            exchange.fail(self._monotonic(), error.code)
        if isinstance(error, ConnectionsBusyError):
            return UpstreamBusyError(f"as many calls to the upstream {self._name} are under way as may be")
        if isinstance(error, ResponseTimeoutError):
            return UpstreamTimeoutError(f"the upstream {self._name} did not answer in time")
        return UpstreamFailedError(f"the upstream {self._name} gave no valid answer ({error.code})")

    def _is_repeatable(self, exchange: Exchange, call: Outgoing, error: HttpClientError, tried: list[Target]) -> bool:
        """Whether a call without an answer may be sent again.

        One that was sent and not answered in time is not sent to the same server once more: that would make it wait for
        twice as long as the settings say, and a slow server slower.
        """
        is_silence = isinstance(error, ResponseTimeoutError) and not isinstance(error, ConnectError)
        if own_failure(error) is not None or (is_silence and len(tried) + 1 >= len(self.targets.all)):
            return False
        return may_repeat(error, method=exchange.method, body=call[BODY])

    def _is_answer_to_repeat(self, exchange: Exchange, call: Outgoing, response: Response) -> bool:
        asked_to_wait = any(name == b"retry-after" for name, _ in response.headers)
        return may_repeat_answer(
            self._retry, response.status, method=exchange.method, body=call[BODY], retry_after=asked_to_wait
        )

    def _plan(self, exchange: Exchange, tried: list[Target]) -> _Again | None:
        """When and for how long to try again; None where that may not be.

        A breaker that is not closed lets few calls through, and each of them once. Another target need not be waited
        for.
        """
        number = len(tried) + 1
        if number > self._retry.retries or self.breaker.state != "closed":
            return None
        alone = number >= len(self.targets.all)
        pause = backoff(self._retry, number, jitter=random.random()) if alone else 0.0
        now = self._monotonic()
        timeouts = time_left(self._timeouts, now - exchange.started + pause)
        if timeouts is None or not self._budget.take(now):
            return None
        return _Again(pause, timeouts)


def _to_request(call: Outgoing, target: Target, timeouts: Timeouts) -> Request:
    method, path, headers, body, length, upgrade = call
    return _new_request((target.origin, method, target.base + path, headers, body, length, timeouts, upgrade, None))


def own_failure(error: HttpClientError) -> ClientGoneError | BodyTooLargeError | None:
    """Why the call failed, if it was not the upstream's doing but that of a request body under way."""
    cause = error.__cause__
    return cause if isinstance(cause, (ClientGoneError, BodyTooLargeError)) else None
