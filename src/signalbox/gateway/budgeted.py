"""Sends the calls of upstreams whose host has a budget."""

from collections.abc import Callable, Mapping

from signalbox.core.retry_after import find_retry_after
from signalbox.gateway.permits import HostPermits
from signalbox.infra.clock import Clock
from signalbox.infra.http import Begun, ConnectError, HttpClient, Request, Response, TooLateError

_ASKS_TO_WAIT = frozenset({429, 503})
_TRIES = 3
"""Permits that a call takes at most which are over before there is a connection."""


class BudgetedClient:
    """An ``HttpClient`` that takes a permit for each call it sends, repeated ones too; ``permits`` by ``Origin.key``.

    An answer that asks to be left alone for a while pauses its host. Origins without permits are called freely.
    """

    def __init__(self, client: HttpClient, permits: Mapping[str, HostPermits], clock: Clock) -> None:
        self._client, self._permits, self._clock = client, permits, clock

    async def send(self, request: Request) -> Response:
        """Send a call.

        Raises:
            HttpClientError: as ``HttpClient.send``.
            BudgetExhaustedError: the budget of the host is used up.
            HostPausedError: the host has asked to be left alone.
        """
        permits = self._permits.get(request.origin.key)
        if permits is None:
            return await self._client.send(request)
        response = await self._send(request, permits)
        if response.status in _ASKS_TO_WAIT:
            seconds = find_retry_after(response.headers, now=self._clock.now())
            if seconds:
                permits.pause(seconds)
        return response

    def begin(self, request: Request, on_news: Callable[[], None]) -> Begun | None:
        """Send a call at once, where its host has no budget: a permit may have to be waited for."""
        return None if request.origin.key in self._permits else self._client.begin(request, on_news)

    async def follow(self, begun: Begun, request: Request) -> Response:
        """Wait for the answer to a call that was begun."""
        return await self._client.follow(begun, request)

    async def close(self) -> None:
        """Drop every connection."""
        await self._client.close()

    async def _send(self, request: Request, permits: HostPermits) -> Response:
        for attempt in range(1, _TRIES + 1):
            ends = await permits.take()
            try:
                return await self._client.send(request._replace(send_by=ends))
            except TooLateError:
                if attempt == _TRIES:
                    raise
            except ConnectError:
                permits.give_back(ends)
                raise
        raise AssertionError  # the last try returns or raises
