"""Passes an answer on to the client: whole, piece by piece, or as a tunnel."""

from signalbox.core.asgi import TAKE_OVER, Scope, Send
from signalbox.gateway.body import ClientGoneError
from signalbox.gateway.dispatch import Dispatcher, own_failure
from signalbox.gateway.exchange import Exchange
from signalbox.gateway.headers import Header
from signalbox.gateway.watch import ClientWatch
from signalbox.infra.clock import Clock
from signalbox.infra.http import HttpClientError, Response, ResponseTimeoutError
from signalbox.infra.http.tunnel import Tunnel

CLIENT_CLOSED_REQUEST = 499
"""Recorded where the client left first; nginx uses the same number."""

SWITCHING_PROTOCOLS, CONTENT_TOO_LARGE, BAD_GATEWAY, GATEWAY_TIMEOUT = 101, 413, 502, 504


class Relay:
    """Passes answers on whose bodies are still coming, and tunnels."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic

    async def pass_on(
        self,
        response: Response,
        headers: list[Header],
        *,
        call: Exchange,
        dispatcher: Dispatcher,
        scope: Scope,
        send: Send,
        watch: ClientWatch,
    ) -> None:
        """Pass on a head, and whatever follows it; ``watch`` is where the client is watched until then."""
        try:
            if response.status == SWITCHING_PROTOCOLS:
                watch.stop()  # a connection that was taken over tells its end to the tunnel
                await self._tunnel(call, response, scope, headers)
            else:
                watch.start()
                await send({"type": "http.response.start", "status": response.status, "headers": headers})
                await self._stream(call, dispatcher, response, send)
        finally:
            response.close()

    async def _stream(self, exchange: Exchange, dispatcher: Dispatcher, response: Response, send: Send) -> None:
        """Pass a body on as fast as the client takes it; one that breaks off is aborted, never ended."""
        await send({"type": "http.response.body", "body": b"", "more_body": True})  # the head goes out at once
        try:
            while piece := await response.read():
                exchange.response_bytes += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except HttpClientError as error:
            exchange.status = _status_of_broken(error)
            dispatcher.fail(exchange, error)
            return  # the server closes a connection whose answer was left unfinished
        exchange.succeed(self._monotonic())
        await send({"type": "http.response.body", "body": b""})

    async def _tunnel(self, exchange: Exchange, response: Response, scope: Scope, headers: list[Header]) -> None:
        """Join client and upstream until both are gone. The call's time is that of the handshake."""
        exchange.head_at = self._monotonic()
        exchange.succeed(exchange.head_at)
        headers = [header for header in headers if header[0] != b"content-length"]  # RFC 9110, 8.6
        headers += [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]
        client = scope["extensions"][TAKE_OVER](headers)
        server = response.detach()
        tunnel = Tunnel(client.transport, server.transport)
        try:
            await tunnel.run(client_sent=client.early, server_sent=server.early)
        finally:
            client.on_lost()
            exchange.request_bytes, exchange.response_bytes = tunnel.from_client, tunnel.from_server


def _status_of_broken(error: HttpClientError) -> int:
    """The status recorded for an answer that stopped in its middle."""
    own = own_failure(error)
    if own is not None:
        return CLIENT_CLOSED_REQUEST if isinstance(own, ClientGoneError) else CONTENT_TOO_LARGE
    return GATEWAY_TIMEOUT if isinstance(error, ResponseTimeoutError) else BAD_GATEWAY
