"""The gateway's way of a call, as a raw ASGI application: route, admit, limit, send on, relay, record."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import NamedTuple

from signalbox.core.asgi import TAKE_OVER, ErrorResponder, Receive, Scope, Send, answer
from signalbox.core.errors import SignalboxError
from signalbox.core.proxies import TrustedProxies
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.admission import CREDENTIALS, Admission
from signalbox.gateway.body import SMALL, ClientGoneError, RequestBody, too_large
from signalbox.gateway.cache_ask import Ask, origin_of
from signalbox.gateway.cache_entry import StoredAnswer
from signalbox.gateway.errors import NoUpstreamError, UnsupportedCodingError
from signalbox.gateway.exchange import Exchange
from signalbox.gateway.headers import Header, Special, WayHeaders, response_headers, split_request, trace_headers
from signalbox.gateway.limits import UpstreamLimits
from signalbox.gateway.parts import Parts
from signalbox.gateway.paths import canonical
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.relay import CLIENT_CLOSED_REQUEST, Relay
from signalbox.gateway.routing import RoutingTable, Upstream
from signalbox.gateway.watch import ClientWatch, WaitingCalls
from signalbox.infra.clock import Clock
from signalbox.infra.http import Response

SERVICE_UNAVAILABLE = 503

_WEBSOCKET = b"websocket"


class Rules(NamedTuple):
    """What the settings say, compiled."""

    table: RoutingTable
    parts: dict[str, Parts]
    """By name of the upstream."""
    proxies: TrustedProxies


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
        clock = self._clock
        peer = scope["client"][0] if scope["client"] else ""
        client = self.rules.proxies.client(peer, scope["headers"])
        exchange = Exchange(scope, peer=peer, client=client, now=clock.now(), monotonic=clock.monotonic())
        watch = ClientWatch(scope, receive, self.waiting)
        try:
            await self._serve(exchange, watch, scope, receive, send)
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
                self._recorder.record(exchange.to_call(clock.monotonic()))

    async def _serve(self, exchange: Exchange, watch: ClientWatch, scope: Scope, receive: Receive, send: Send) -> None:
        rules = self.rules
        headers, special = split_request(scope["headers"])
        upstream, made = _route(exchange, rules.table, special)
        if CREDENTIALS.isdisjoint(special):
            self._admission.check_anonymous(exchange)
        else:
            headers += await self._admission.admit(exchange, scope["headers"], special)
        parts = rules.parts[upstream.name]
        told = () if parts.limits is None else _limit(exchange, parts.limits)
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
        whole = None if upgrade else response.whole()
        if whole is None:
            headers = _answer_headers(exchange, response, told)
            await self._relay.pass_on(
                response, headers, call=exchange, dispatcher=parts.dispatcher, scope=scope, send=send, watch=watch
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
    exchange.needs_token = table.needs_token(host, path, upstream)
    exchange.route = upstream.route(path)
    return upstream, trace


def _answer_headers(exchange: Exchange, response: Response, told: Sequence[Header]) -> list[Header]:
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
