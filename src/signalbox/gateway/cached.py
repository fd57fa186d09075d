"""The way of a call where an upstream has a cache: answered out of it, else sent on through it."""

from collections.abc import Callable

from signalbox.core.errors import BadGatewayError, GatewayTimeoutError, SignalboxError
from signalbox.core.ids import new_request_id
from signalbox.gateway.cache import GatewayCache
from signalbox.gateway.cache_ask import Ask
from signalbox.gateway.dispatch import Dispatcher, Outgoing
from signalbox.gateway.exchange import Exchange
from signalbox.gateway.headers import Header
from signalbox.gateway.recorder import OWN_APP
from signalbox.gateway.schemas import CallRow
from signalbox.infra.clock import Clock
from signalbox.infra.http import Detached, HttpClientError, Response

_ABANDONED, _BAD_GATEWAY, _UNAVAILABLE, _GATEWAY_TIMEOUT = 499, 502, 503, 504


class CachedDispatcher:
    """A cache before a dispatcher; ``record`` takes the calls that the cache makes in the background."""

    def __init__(
        self, cache: GatewayCache, dispatcher: Dispatcher, *, clock: Clock, record: Callable[[CallRow], None]
    ) -> None:
        self.cache = cache
        self._dispatcher, self._clock, self._record = dispatcher, clock, record

    async def send(self, exchange: Exchange, ask: Ask, call: Outgoing, *, made: list[Header]) -> Response:
        """The answer to a call for which ``cache.lookup`` found none.

        Args:
            exchange: The call.
            ask: What the lookup learnt of it; it has the headers that answers may depend on.
            call: As it would be sent without a cache.
            made: Headers that name the call and its way; no answer depends on them.

        Raises:
            SignalboxError: as ``Dispatcher.send``, and NotCachedError where the client wants a stored answer or none.
        """

        async def fetch(asked: list[Header]) -> Response:
            exchange.succeed(self._clock.monotonic())  # the first answer, where there is a second
            return await self._dispatcher.send(exchange, _with(call, asked + made))

        async def refetch(asked: list[Header]) -> Response:
            return await self._fetch_alone(exchange, _with(call, asked + made))

        return await self.cache.forward(ask, fetch, refetch=refetch)

    async def _fetch_alone(self, exchange: Exchange, call: Outgoing) -> Response:
        """Send a call for which no client waits; it is recorded as one of the hub itself."""
        own = exchange.again(now=self._clock.now(), monotonic=self._clock.monotonic())
        own.app, own.request_id = OWN_APP, new_request_id()
        try:
            response = await self._dispatcher.send(own, call)
        except BaseException as error:
            own.ignore()
            own.status = _status_of(error)
            self._record(own.to_call(self._clock.monotonic()))
            raise
        own.status = response.status
        return _Alone(response, own, clock=self._clock, record=self._record)


class _Alone:
    """A ``Response`` that tells the upstream's breaker and the statistics of its end."""

    def __init__(
        self, response: Response, exchange: Exchange, *, clock: Clock, record: Callable[[CallRow], None]
    ) -> None:
        self.status, self.headers = response.status, response.headers
        self._response, self._exchange, self._clock = response, exchange, clock
        self._record: Callable[[CallRow], None] | None = record

    def whole(self) -> bytes | None:
        body = self._response.whole()
        if body is not None:
            self._exchange.response_bytes = len(body)
            self._end()
        return body

    async def read(self) -> bytes:
        try:
            piece = await self._response.read()
        except HttpClientError as error:
            self._exchange.fail(self._clock.monotonic(), error.code)
            self._exchange.status = _BAD_GATEWAY
            self._end()
            raise
        self._exchange.response_bytes += len(piece)
        if not piece:
            self._end()
        return piece

    def detach(self) -> Detached:
        return self._response.detach()

    def close(self) -> None:
        self._response.close()
        self._exchange.ignore()
        self._end()

    def _end(self) -> None:
        record, self._record = self._record, None
        if record is not None:
            now = self._clock.monotonic()
            self._exchange.succeed(now)
            record(self._exchange.to_call(now))


def _with(call: Outgoing, headers: list[Header]) -> Outgoing:
    method, target, _, body, length, upgrade = call
    return method, target, headers, body, length, upgrade


def _status_of(error: BaseException) -> int:
    if not isinstance(error, Exception):  # given up
        return _ABANDONED
    if isinstance(error, GatewayTimeoutError):
        return _GATEWAY_TIMEOUT
    if isinstance(error, SignalboxError) and not isinstance(error, BadGatewayError):
        return _UNAVAILABLE
    return _BAD_GATEWAY
