"""Serve an ASGI app on a free loopback port, inside the running event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from signalbox.sandbox.exchange import DROP


class LoopbackServer:
    """``async with LoopbackServer(app) as server: ... server.url ...``; ``server.url`` has no slash at its end.

    ``port=0`` takes a free one. Leaving the block stops listening, gives open requests ``grace`` seconds and then drops
    their connections. Signal handlers are not touched.
    """

    def __init__(self, app: ASGIApp, *, port: int = 0, grace: float = 0.5) -> None:
        self._socket = _listen(port)
        self._app = app
        self._server = _Uvicorn(_config(self._call))
        self._grace = grace
        self._serving: asyncio.Task[None] | None = None
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._serving.done():
            self._serving.result()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop; safe to call twice."""
        self._server.should_exit = True
        if self._serving is None:
            self._socket.close()
            return
        await asyncio.wait({self._serving}, timeout=self._grace)
        await self._drop()
        await self._serving

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[DROP] = lambda: self._abort(scope)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # uvicorn reports what a request raises as a fault of the app; a dropped request is none.
            if not self._server.should_exit:
                raise

    def _abort(self, scope: Scope) -> None:
        """Break the connection of one request."""
        for connection in self._server.server_state.connections:
            if getattr(connection, "scope", None) is scope:
                connection.transport.abort()

    async def _drop(self) -> None:
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        for request in list(self._server.server_state.tasks):
            request.cancel()


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers, and with an event instead of a flag to poll."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(port: int) -> socket.socket:
    """A listening socket that says it is TCP: asyncio turns Nagle's delay, 40 ms for each answer, off only then."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    listener.listen(1024)
    return listener


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        interface="asgi3",
        lifespan="auto",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
    )
