"""The gateway's way of a call, as a raw ASGI application: route, admit, send on, relay, record."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

from signalbox.auth.credentials import holds_ours, is_ours
from signalbox.auth.errors import MissingScopeError, SignOnRequiredError
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.scopes import grants
from signalbox.core.asgi import EMPTY_QUERY, WHOLE_ANSWER, ErrorResponder, Message, Receive, Scope, Send
from signalbox.core.errors import SignalboxError
from signalbox.core.proxies import TrustedProxies
from signalbox.gateway.body import SMALL, ClientGoneError, RequestBody, too_large
from signalbox.gateway.errors import (
    BodyTooLargeError,
    NoUpstreamError,
    UnsupportedCodingError,
    UpstreamBusyError,
    UpstreamFailedError,
    UpstreamTimeoutError,
)
from signalbox.gateway.headers import (
    Header,
    WayHeaders,
    response_headers,
    split_request,
    trace_headers,
)
from signalbox.gateway.paths import canonical, sanitize_query
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.report import FailureLog
from signalbox.gateway.routing import UNMATCHED, RoutingTable, Upstream
from signalbox.gateway.schemas import CallRow
from signalbox.gateway.watch import ClientWatch, WaitingCalls
from signalbox.infra.clock import Clock
from signalbox.infra.http import (
    ConnectionsBusyError,
    HttpClient,
    HttpClientError,
    Request,
    Response,
    ResponseTimeoutError,
)

CLIENT_CLOSED_REQUEST = 499
"""Recorded where the client left first; nginx uses the same number."""

CONTENT_TOO_LARGE, INTERNAL_ERROR, BAD_GATEWAY, SERVICE_UNAVAILABLE, GATEWAY_TIMEOUT = 413, 500, 502, 503, 504

_CREDENTIALS = frozenset({b"authorization", b"token", b"app-name"})

_MAX_PATH = 2_048

_new_request: Callable[[tuple[Any, ...]], Request] = functools.partial(tuple.__new__, Request)
"""``Request(*values)`` without its keyword handling, which takes longer than the rest of making one."""

Special = dict[bytes, list[bytes]]


class _Exchange:
    """What is known of one call while it runs. What most calls leave as it is stands in the class."""

    upstream: Upstream | None = None
    needs_token = True
    route = UNMATCHED
    app: str | None = None
    host = request_id = b""
    request_body: RequestBody | None = None
    status = INTERNAL_ERROR  # until the call ends otherwise
    response_bytes = 0

    def __init__(self, scope: Scope, *, peer: str, client: str, now: int, monotonic: float) -> None:
        self.started_at, self.started = now, monotonic
        self.peer, self.client = peer, client
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        query = scope["query_string"]
        self.query: bytes | None = sanitize_query(query) if query else None
        if not query and EMPTY_QUERY in scope.get("extensions", ()):
            self.query = b""

    def to_call(self, monotonic: float) -> CallRow:
        """The record of the finished call."""
        upstream, body = self.upstream, self.request_body
        return (
            self.started_at,
            self.path[:_MAX_PATH].decode("ascii"),
            self.route,
            "" if upstream is None else upstream.name,
            self.method,
            self.status,
            int((monotonic - self.started) * 1_000_000),
            0 if body is None else body.size,
            self.response_bytes,
            self.client,
            self.app,
            self.request_id.decode("ascii"),
        )


class Proxy:
    """Serves every path that is not the hub's own. ``table`` and ``proxies`` may be replaced while it runs."""

    def __init__(
        self,
        *,
        client: HttpClient,
        clock: Clock,
        auth: AuthRuntime,
        recorder: Recorder,
        respond: ErrorResponder,
        table: RoutingTable,
        proxies: TrustedProxies,
    ) -> None:
        self.table, self.proxies = table, proxies
        self._client, self._clock, self._auth = client, clock, auth
        self._recorder, self._respond = recorder, respond
        self._failures = FailureLog(clock)
        self._ways = WayHeaders()
        self.waiting = WaitingCalls()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the caller has sanitized its path and made sure that it has exactly one Host header."""
        peer = scope["client"][0] if scope["client"] else ""
        client = self.proxies.client(peer, scope["headers"])
        clock = self._clock
        exchange = _Exchange(scope, peer=peer, client=client, now=clock.now(), monotonic=clock.monotonic())
        try:
            await self._serve(exchange, scope, receive, send)
        except ClientGoneError:
            exchange.status = CLIENT_CLOSED_REQUEST
        except SignalboxError as error:
            unread = exchange.request_body is None or not exchange.request_body.complete
            close = unread and _expects_continue(scope["headers"])
            exchange.status = await self._respond(send, error, request_id=exchange.request_id, close=close)
        finally:
            if self._recorder.enabled:
                self._recorder.record(exchange.to_call(clock.monotonic()))

    async def _serve(self, exchange: _Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        headers, special = split_request(scope["headers"])
        trace = trace_headers(special)
        exchange.request_id = trace[0][1]
        upstream = self._route(exchange, special)
        if _CREDENTIALS.isdisjoint(special):
            self._check_anonymous(exchange)
        else:
            headers += await self._admit(exchange, scope["headers"], special)
        headers += trace
        peer = exchange.peer
        headers += self._ways.of(special, (peer, scope["scheme"], exchange.host), trusted=self.proxies.trusts(peer))
        watch = ClientWatch(scope, receive, self.waiting)
        try:
            if b"content-length" in special or b"transfer-encoding" in special:
                body, length = await _body(exchange, upstream, special, receive, watch)
            else:
                body, length = b"", 0
                watch.arm()
            target = upstream.target(exchange.path, exchange.query)
            method = exchange.method.encode()
            request = _new_request((upstream.origin, method, target, headers, body, length, upstream.timeouts))
            response = await self._client.send(request)
            exchange.status = response.status
            answer = {
                "type": "http.response.start",
                "status": response.status,
                "headers": response_headers(response.headers, status=response.status, request_id=exchange.request_id),
            }
            whole = response.whole()
            if whole is not None:
                watch.stop()
                exchange.response_bytes = len(whole)
                await _send_whole(scope, send, answer, whole)
                return
            try:
                await self._relay(exchange, response, send, watch, answer)
            finally:
                response.close()
        except HttpClientError as error:
            raise self._failure(upstream, error) from error
        except asyncio.CancelledError:
            if not watch.gone:
                exchange.status = SERVICE_UNAVAILABLE
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            exchange.status = CLIENT_CLOSED_REQUEST
        finally:
            watch.stop()

    def _route(self, exchange: _Exchange, special: Special) -> Upstream:
        path = canonical(exchange.path)
        exchange.host = special[b"host"][0]
        upstream = self.table.find(exchange.host, path)
        if upstream is None:
            msg = f"nothing is served at {path.decode()}; set gateway.default or an upstream's host or prefix"
            raise NoUpstreamError(msg)
        exchange.upstream = upstream
        exchange.needs_token = self.table.needs_token(exchange.host, path, upstream)
        exchange.route = upstream.route(path)
        return upstream

    async def _admit(self, exchange: _Exchange, headers: list[Header], special: Special) -> list[Header]:
        """Check the caller's right to the gateway.

        Returns:
            The credentials that are not the hub's own, which belong to the upstream and are passed on.
        """
        pairs = [(name, value) for name in (b"authorization", b"token") for value in special.get(name, ())]
        foreign = [pair for pair in pairs if not holds_ours(pair[1])]
        if len(foreign) == len(pairs):
            self._check_anonymous(exchange)
            return [*foreign, *((b"app-name", value) for value in special.get(b"app-name", ()))]
        await self._check_token(exchange, headers, special)
        return foreign

    async def _check_token(self, exchange: _Exchange, headers: list[Header], special: Special) -> None:
        """Check the hub's own token among the credentials, and note whose it is."""
        token = _own_token(special)
        app_name = special.get(b"app-name", (None,))[0]
        known = None if token is None else self._auth.lookup(token, app_name=app_name)
        principal = known or await self._auth.authenticate(headers)
        exchange.app = principal.app or principal.name
        if not exchange.needs_token:
            self._auth.require(principal, "gateway")
        elif not grants(principal.scopes, "gateway"):
            msg = "this upstream needs a token with the scope gateway"
            raise MissingScopeError(msg, scope="gateway")

    def _check_anonymous(self, exchange: _Exchange) -> None:
        if exchange.needs_token:
            msg = "this upstream needs a token; send one as Authorization: Bearer or as Token"
            raise SignOnRequiredError(msg)
        if "gateway" not in self._auth.anonymous.scopes:
            self._auth.require(self._auth.anonymous, "gateway")

    def _failure(self, upstream: Upstream, error: HttpClientError) -> SignalboxError:
        """What the client is told of a call that got no answer."""
        own = _own_failure(error)
        if own is not None:
            return own
        self._failures.report(upstream.name, error)
        if isinstance(error, ConnectionsBusyError):
            return UpstreamBusyError(f"as many calls to the upstream {upstream.name} are under way as may be")
        if isinstance(error, ResponseTimeoutError):
            return UpstreamTimeoutError(f"the upstream {upstream.name} did not answer in time")
        return UpstreamFailedError(f"the upstream {upstream.name} gave no valid answer ({error.code})")

    async def _relay(
        self, exchange: _Exchange, response: Response, send: Send, watch: ClientWatch, start: Message
    ) -> None:
        """Pass the answer on as fast as the client takes it; one that breaks off is aborted, never ended."""
        watch.start()
        await send(start)
        await send({"type": "http.response.body", "body": b"", "more_body": True})  # the head goes out at once
        try:
            while piece := await response.read():
                exchange.response_bytes += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except HttpClientError as error:
            exchange.status = self._broken_off(exchange, error)
            return  # the server closes a connection whose answer was left unfinished
        watch.stop()
        await send({"type": "http.response.body", "body": b""})

    def _broken_off(self, exchange: _Exchange, error: HttpClientError) -> int:
        """The status recorded for an answer that stopped in its middle."""
        own = _own_failure(error)
        if own is not None:
            return CLIENT_CLOSED_REQUEST if isinstance(own, ClientGoneError) else CONTENT_TOO_LARGE
        self._failures.report(exchange.upstream.name if exchange.upstream else "", error)
        return GATEWAY_TIMEOUT if isinstance(error, ResponseTimeoutError) else BAD_GATEWAY


async def _send_whole(scope: Scope, send: Send, start: Message, body: bytes) -> None:
    if WHOLE_ANSWER in scope.get("extensions", ()):
        start["type"], start["body"] = WHOLE_ANSWER, body
        await send(start)
        return
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def _body(
    exchange: _Exchange, upstream: Upstream, special: Special, receive: Receive, watch: ClientWatch
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


def _own_token(special: Special) -> bytes | None:
    """The caller's credential if the hub issued it: an app token, or a JWT with the hub's own header."""
    for value in special.get(b"token", ()):
        if is_ours(value):
            return value
    for value in special.get(b"authorization", ()):
        scheme, _, credential = value.partition(b" ")
        if scheme.lower() == b"bearer" and is_ours(credential.strip()):
            return credential.strip()
    return None


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


def _own_failure(error: HttpClientError) -> ClientGoneError | BodyTooLargeError | None:
    """Why the call failed, if it was not the upstream's doing but that of a request body under way."""
    cause = error.__cause__
    return cause if isinstance(cause, (ClientGoneError, BodyTooLargeError)) else None
