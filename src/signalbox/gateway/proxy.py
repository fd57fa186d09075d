"""The gateway's way of a call, as a raw ASGI application: route, admit, limit, send on, relay, record."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from typing import Any, NamedTuple

from signalbox.core.asgi import TAKE_OVER, ErrorResponder, Receive, Scope, Send, Turn, answer
from signalbox.core.errors import SignalboxError
from signalbox.core.proxies import TrustedProxies
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.admission import CREDENTIALS, Admission
from signalbox.gateway.body import SMALL, ClientGoneError, RequestBody, too_large
from signalbox.gateway.cache_ask import Ask, origin_of
from signalbox.gateway.cache_entry import StoredAnswer
from signalbox.gateway.cached import CachedDispatcher
from signalbox.gateway.dispatch import Dispatcher
from signalbox.gateway.errors import NoUpstreamError, UnsupportedCodingError
from signalbox.gateway.exchange import Exchange
from signalbox.gateway.headers import Header, Special, WayHeaders, response_headers, split_request, trace_headers
from signalbox.gateway.limits import UpstreamLimits
from signalbox.gateway.parts import Parts
from signalbox.gateway.paths import canonical
from signalbox.gateway.quick import QuickCall
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.relay import CLIENT_CLOSED_REQUEST, SWITCHING_PROTOCOLS, Relay
from signalbox.gateway.routing import RoutingTable, Upstream
from signalbox.gateway.watch import ClientWatch, WaitingCalls
from signalbox.infra.clock import Clock
from signalbox.infra.http import Response, Whole

SERVICE_UNAVAILABLE = 503

_WEBSOCKET = b"websocket"

_NEEDS_TASK = frozenset({b"content-length", b"transfer-encoding", b"upgrade", b"expect"})
"""Headers of requests that are not served without a task."""


class Rules(NamedTuple):
    """What the settings say, compiled."""

    table: RoutingTable
    parts: dict[str, Parts]
    """By name of the upstream."""
    proxies: TrustedProxies


class _Admitted(NamedTuple):
    """A request that was routed, from somebody who may send it."""

    upstream: Upstream
    headers: list[Header]
    """Those to pass on, credentials too."""
    special: Special
    """The others; see ``split_request``."""
    made: list[Header]
    """Headers that name the call."""
    told: Sequence[Header]
    """Headers for its answer: how its limits stand."""


class Proxy:
    """Serves every path that is not the hub's own. ``rules`` may be replaced while it runs."""

    def __init__(
        self, *, clock: Clock, admission: Admission, recorder: Recorder, respond: ErrorResponder, rules: Rules
    ) -> None:
        self.rules = rules
        self._clock, self._admission = clock, admission
        self._recorder, self._respond = recorder, respond
        self._relay = Relay(clock)
        self._ways = WayHeaders()
        self.waiting = WaitingCalls()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the caller has sanitized its path and made sure that it has exactly one Host header."""
        exchange, watch = self._exchange(scope), ClientWatch(scope, receive, self.waiting)
        await self._see_through(self._serve(exchange, watch, scope, receive, send), exchange, watch, scope, send)

    def begin(self, scope: Scope, turn: Turn, split: tuple[list[Header], Special]) -> bool:
        """Serve a request without a task, as ``Begin``; ``split`` are its headers, as ``split_request`` gives them.

        False for one that may have a body or upgrade, and for one whose token must be looked up. One whose answer may lie
        in a cache, but is not at hand, gets a task, which goes on with what was found out here.
        """
        rules = self.rules
        headers, special = split
        if not _NEEDS_TASK.isdisjoint(special):
            return False
        exchange = self._exchange(scope)
        try:
            upstream, made = _route(exchange, rules.table, special)
            parts = rules.parts[upstream.name]
            credentials = self._credentials(exchange, special)
            if credentials is None:
                return False
            headers += credentials
            told = () if parts.limits is None else _limit(exchange, parts.limits)
            way = exchange.peer, scope["scheme"], exchange.host
            trusted = rules.proxies.are_any and rules.proxies.trusts(exchange.peer)
            if parts.cached is not None:
                origin = origin_of(special, way, trusted=trusted)
                self._begin_cached(
                    turn, exchange, parts.cached, _Admitted(upstream, headers, special, made, told), origin
                )
                return True
            made += self._ways.of(special, way, trusted=trusted)
        except SignalboxError as error:
            turn.run(functools.partial(self._refuse, exchange, error))
            return True
        target = upstream.target(exchange.path, exchange.query)
        call = (exchange.method.encode(), target, headers + made, b"", 0, b"")
        QuickCall(self, turn, exchange, parts.dispatcher, call, told=told).begin()
        return True

    def _begin_cached(
        self, turn: Turn, exchange: Exchange, cached: CachedDispatcher, admitted: _Admitted, origin: bytes
    ) -> None:
        """Answer out of the cache where that is in this process and has it, else by a task."""
        target = admitted.upstream.target(exchange.path, exchange.query)
        stored = cached.cache.at_hand(Ask(exchange.method.encode(), target, origin=origin, headers=admitted.headers))
        if stored is None:
            turn.run(functools.partial(self._serve_admitted, exchange, admitted))
            return
        body = stored.whole()
        exchange.response_bytes = len(body)
        turn.answer(stored.status, _answer_headers(exchange, stored, admitted.told), body)
        if self._recorder.enabled:
            self._recorder.record(exchange.to_call(self._clock.monotonic()))

    def answer(self, turn: Turn, exchange: Exchange, whole: Whole, told: Sequence[Header]) -> None:
        """Pass on the answer to a request that was begun without a task."""
        ended = self._clock.monotonic()
        exchange.succeed(ended)
        exchange.response_bytes = len(whole.body)
        turn.answer(whole.status, _answer_headers(exchange, whole, told), whole.body)
        if self._recorder.enabled:
            self._recorder.record(exchange.to_call(ended))

    async def go_on(self, quick: QuickCall, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request to its end that was begun without a task."""
        exchange, watch = quick.exchange, ClientWatch(scope, receive, self.waiting)
        await self._see_through(self._go_on(quick, watch, scope, send), exchange, watch, scope, send)

    async def _go_on(self, quick: QuickCall, watch: ClientWatch, scope: Scope, send: Send) -> None:
        watch.arm()
        if quick.is_slow:
            watch.start()
        exchange, dispatcher = quick.exchange, quick.dispatcher
        response = await dispatcher.send(exchange, quick.call, quick.begun)
        await self._pass_on(exchange, dispatcher, response, quick.told, scope=scope, send=send, watch=watch)

    async def _refuse(
        self, exchange: Exchange, error: SignalboxError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request with an error that was found before there was a task."""

        async def fail() -> None:
            raise error

        watch = ClientWatch(scope, receive, self.waiting)
        await self._see_through(fail(), exchange, watch, scope, send)

    def _credentials(self, exchange: Exchange, special: Special) -> list[Header] | None:
        """Check the caller's right; returns the credentials to pass on, None where a token must be looked up first."""
        if CREDENTIALS.isdisjoint(special):
            self._admission.check_anonymous(exchange)
            return []
        return self._admission.admit_known(exchange, special)

    def _exchange(self, scope: Scope) -> Exchange:
        clock = self._clock
        peer = scope["client"][0] if scope["client"] else ""
        proxies = self.rules.proxies
        client = proxies.client(peer, scope["headers"]) if proxies.are_any else peer
        return Exchange(scope, peer, client, clock.now(), clock.monotonic())

    async def _see_through(
        self, work: Coroutine[Any, Any, None], exchange: Exchange, watch: ClientWatch, scope: Scope, send: Send
    ) -> None:
        """Do what serves a request, answer what went wrong, and record the call."""
        try:
            await work
        except ClientGoneError:
            exchange.status = CLIENT_CLOSED_REQUEST
        except SignalboxError as error:
            watch.stop()
            unread = exchange.request_body is None or not exchange.request_body.complete
            close = unread and _expects_continue(scope["headers"])
            exchange.status = await self._respond(send, error, request_id=exchange.request_id, close=close)
        except asyncio.CancelledError:
            left = watch.take_back()
            if exchange.head_at is None:  # a tunnel's answer was given when it began
                exchange.status = CLIENT_CLOSED_REQUEST if left else SERVICE_UNAVAILABLE
            if not left:
                raise
        finally:
            watch.stop()
            if exchange.ticket is not None or exchange.target is not None:
                exchange.ignore()
            if self._recorder.enabled:
                self._recorder.record(exchange.to_call(self._clock.monotonic()))

    async def _serve(self, exchange: Exchange, watch: ClientWatch, scope: Scope, receive: Receive, send: Send) -> None:
        rules = self.rules
        headers, special = split_request(scope["headers"])
        upstream, made = _route(exchange, rules.table, special)
        credentials = self._credentials(exchange, special)
        if credentials is None:
            credentials = await self._admission.look_up(exchange, scope["headers"], special)
        limits = rules.parts[upstream.name].limits
        told = () if limits is None else _limit(exchange, limits)
        admitted = _Admitted(upstream, headers + credentials, special, made, told)
        await self._forward(exchange, admitted, watch, scope=scope, receive=receive, send=send)

    async def _serve_admitted(
        self, exchange: Exchange, admitted: _Admitted, scope: Scope, receive: Receive, send: Send
    ) -> None:
        watch = ClientWatch(scope, receive, self.waiting)
        work = self._forward(exchange, admitted, watch, scope=scope, receive=receive, send=send)
        await self._see_through(work, exchange, watch, scope, send)

    async def _forward(
        self,
        exchange: Exchange,
        admitted: _Admitted,
        watch: ClientWatch,
        *,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Serve a request that was routed and may be sent."""
        upstream, headers, special, made, told = admitted
        rules = self.rules
        parts = rules.parts[upstream.name]
        way, trusted = (exchange.peer, scope["scheme"], exchange.host), rules.proxies.trusts(exchange.peer)
        method, target = exchange.method.encode(), upstream.target(exchange.path, exchange.query)
        upgrade = _WEBSOCKET if b"upgrade" in special and TAKE_OVER in scope["extensions"] else b""
        ask = None
        if parts.cached is not None and not upgrade:
            origin = origin_of(special, way, trusted=trusted)
            ask = Ask(method, target, origin=origin, headers=headers, has_body=_may_have_body(special))
            stored = await parts.cached.cache.lookup(ask)
            if stored is not None:
                await _deliver(exchange, stored, told, body=stored.whole(), scope=scope, send=send)
                return
        made += self._ways.of(special, way, trusted=trusted)
        if _may_have_body(special):
            body, length = await _body(exchange, upstream, special, receive, watch)
        else:
            body, length = b"", 0
            watch.arm()
        call = (method, target, headers + made, body, length, upgrade)
        if ask is None or parts.cached is None:
            response = await parts.dispatcher.send(exchange, call)
        else:
            response = await parts.cached.send(exchange, ask, call, made=made)
        await self._pass_on(exchange, parts.dispatcher, response, told, scope=scope, send=send, watch=watch)

    async def _pass_on(
        self,
        exchange: Exchange,
        dispatcher: Dispatcher,
        response: Response,
        told: Sequence[Header],
        *,
        scope: Scope,
        send: Send,
        watch: ClientWatch,
    ) -> None:
        whole = None if response.status == SWITCHING_PROTOCOLS else response.whole()
        if whole is None:
            headers = _answer_headers(exchange, response, told)
            await self._relay.pass_on(
                response, headers, call=exchange, dispatcher=dispatcher, scope=scope, send=send, watch=watch
            )
            return
        watch.stop()
        exchange.succeed(self._clock.monotonic())
        await _deliver(exchange, response, told, body=whole, scope=scope, send=send)


def _route(exchange: Exchange, table: RoutingTable, special: Special) -> tuple[Upstream, list[Header]]:
    """The upstream that a call belongs to, and the headers that name the call."""
    trace = trace_headers(special)
    exchange.request_id = trace[0][1]
    path = exchange.canonical = canonical(exchange.path)
    host = exchange.host = special[b"host"][0]
    upstream = table.find(host, path)
    if upstream is None:
        msg = f"nothing is served at {path.decode()}; set gateway.default or an upstream's host or prefix"
        raise NoUpstreamError(msg)
    exchange.upstream = upstream
    exchange.needs_token = table.guarded and table.needs_token(host, path, upstream)
    exchange.route = upstream.route(path)
    return upstream, trace


def _answer_headers(exchange: Exchange, response: Response | Whole, told: Sequence[Header]) -> list[Header]:
    status = exchange.status = response.status
    if isinstance(response, StoredAnswer):  # its headers came by here when it was stored
        return [*response.headers, (b"x-request-id", exchange.request_id), *told]
    headers = response_headers(response.headers, status=status, request_id=exchange.request_id)
    headers += told
    return headers


def _deliver(
    exchange: Exchange, response: Response, told: Sequence[Header], *, body: bytes, scope: Scope, send: Send
) -> Awaitable[None]:
    """Send an answer that is whole, with the headers of ``told`` besides its own."""
    headers = _answer_headers(exchange, response, told)
    exchange.response_bytes = len(body)
    return answer(scope, send, status=response.status, headers=headers, body=body)


def _may_have_body(special: Special) -> bool:
    return b"content-length" in special or b"transfer-encoding" in special


def _limit(exchange: Exchange, limits: UpstreamLimits) -> list[Header]:
    now = int(exchange.started * MICROSECONDS)
    return limits.check(exchange.client, exchange.app, exchange.canonical, now)


async def _body(
    exchange: Exchange, upstream: Upstream, special: Special, receive: Receive, watch: ClientWatch
) -> tuple[bytes | AsyncIterator[bytes], int | None]:
    """The request body, whole where it is small, and its length, None where it comes chunked."""
    length = _content_length(special)
    if length == 0:
        watch.arm()
        return b"", 0
    if length is not None and length > upstream.max_body:
        raise too_large(upstream.max_body)
    source = exchange.request_body = RequestBody(receive, limit=upstream.max_body)
    if length is None or length > SMALL:
        return watch.follow(source), length
    whole = await source.whole()
    watch.arm()
    return whole, length


def _expects_continue(headers: list[Header]) -> bool:
    """Whether the client waits to be asked for its body; refused, it may send it all the same or not."""
    return any(name == b"expect" for name, _ in headers)


def _content_length(special: Special) -> int | None:
    """Length of the request body: 0 where there is none, None where it is chunked."""
    codings = special.get(b"transfer-encoding")
    if codings is not None:
        if len(codings) == 1 and codings[0].lower() == b"chunked":
            return None
        msg = "a request body may be chunked, but come in no other transfer coding"
        raise UnsupportedCodingError(msg)
    return int(special.get(b"content-length", (b"0",))[0])
