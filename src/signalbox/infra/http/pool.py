"""The client itself: a pool of connections for each origin, and one sweep that enforces every deadline.

Timers are not set for each call: a sweep every 0.1 s compares deadlines of the calls under way, so a timeout
fires at most that much late and costs the hot path nothing.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

from signalbox.infra.http import (
    Begun,
    ConnectError,
    ConnectionBrokenError,
    ConnectionsBusyError,
    ConnectTimeoutError,
    Request,
    Response,
    TooLateError,
)
from signalbox.infra.http.connection import Connection
from signalbox.infra.http.corked import WriteBatch

SWEEP_INTERVAL = 0.1
IDLE_SECONDS = 4.0
"""Servers commonly drop idle connections after 5 s; giving up earlier avoids the race."""

IDLE_SWEEPS = round(IDLE_SECONDS / SWEEP_INTERVAL)

MAX_CONNECTIONS = 1_000
MAX_WAITING = 10_000

_NEVER = float("inf")

_Callback = Callable[[Connection], None]

_log = logging.getLogger(__name__)

_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


@dataclass(slots=True)
class _Pool:
    """The connections to one origin; ``open`` counts idle, busy and connecting ones."""

    idle: deque[Connection] = field(default_factory=deque)
    waiting: deque[asyncio.Future[Connection | None]] = field(default_factory=deque)
    open: int = 0


class PooledClient:
    """An ``HttpClient`` over asyncio."""

    def __init__(self, *, max_connections: int = MAX_CONNECTIONS, tls: ssl.SSLContext | None = None) -> None:
        self._max_connections = max_connections
        self._tls = tls
        self._writes = WriteBatch()
        self._pools: dict[str, _Pool] = {}
        self._active: set[Connection] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._sweeps = 0
        self._closed = False

    def send(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Send a call; see ``HttpClient.send``.

        A kept connection that turns out to be closed already is replaced, if the call is idempotent and its body
        is at hand: the server has then answered nothing.
        """
        return self._send(request, _expiry(request))

    def begin(self, request: Request, on_news: Callable[[], None]) -> Connection | None:
        """Send a call on a kept connection; see ``HttpClient.begin``."""
        connection = self._take_idle(request)
        if connection is not None:
            self._active.add(connection)
            expires = _NEVER if request.timeouts.total is None else _expiry(request)
            connection.begin(request, expires=expires, on_news=on_news)
        return connection

    async def follow(self, begun: Begun, request: Request) -> Response:
        """Wait for the answer; see ``HttpClient.follow``."""
        connection = cast("Connection", begun)
        try:
            return await connection.head()
        except ConnectionBrokenError:
            if not _may_repeat(request, connection):
                raise
        return await self._send(request, connection.expires, anew=True)

    async def _send(self, request: Request, expires: float, *, anew: bool = False) -> Response:
        """Send a call on a kept connection, or ``anew`` on another one."""
        kept = None if anew else self._take_idle(request)
        while True:
            if self._sweeper is None:  # looked at for each try: it ends with the last connection
                self._check_open()
                self._sweeper = asyncio.create_task(self._sweep())
            connection = kept or await self._acquire(request, expires)
            if request.send_by is not None:
                self._check_in_time(request.send_by, connection, request)
            self._active.add(connection)
            try:
                return await connection.exchange(request, expires=expires)
            except ConnectionBrokenError:
                if not _may_repeat(request, connection):
                    raise
            kept = None

    async def close(self) -> None:
        """Drop every connection."""
        self._closed = True
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)
        for pool in self._pools.values():
            for connection in list(pool.idle):
                connection.abort()
        for connection in list(self._active):
            connection.abort()

    def _check_in_time(self, send_by: float, connection: Connection, request: Request) -> None:
        """Keep the connection, which the next call finds, where it is too late for this one."""
        if asyncio.get_running_loop().time() < send_by:
            return
        self._on_idle(self._pools[request.origin.key])(connection)
        msg = f"no connection to {request.origin.host} was there before the call's time was over"
        raise TooLateError(msg)

    # -- getting a connection -----------------------------------------------------------------------------------

    def _take_idle(self, request: Request) -> Connection | None:
        pool = self._pools.get(request.origin.key)
        while pool is not None and pool.idle:
            connection = pool.idle.pop()
            if not connection.is_closed:
                connection.reused = True
                return connection
        return None

    async def _acquire(self, request: Request, expires: float) -> Connection:
        pool = self._pools.get(request.origin.key)
        if pool is None:
            pool = self._pools[request.origin.key] = _Pool()
        if pool.open >= self._max_connections:
            return await self._wait_for_one(pool, request, expires)
        pool.open += 1
        return await self._connect(pool, request, expires)

    async def _wait_for_one(self, pool: _Pool, request: Request, expires: float) -> Connection:
        if len(pool.waiting) >= MAX_WAITING:
            msg = f"{MAX_WAITING} calls already wait for a connection to {request.origin.host}"
            raise ConnectionsBusyError(msg)
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        pool.waiting.append(turn)
        try:
            async with asyncio.timeout_at(_connect_by(request, expires)):
                connection = await turn
        except TimeoutError:
            self._decline(pool, turn)
            msg = f"all {self._max_connections} connections to {request.origin.host} were busy"
            raise ConnectionsBusyError(msg) from None
        except BaseException:
            self._decline(pool, turn)
            raise
        if connection is None:
            return await self._connect(pool, request, expires)
        if connection.is_closed:  # by the server, since it was handed over
            return await self._acquire(request, expires)
        connection.reused = True
        return connection

    def _decline(self, pool: _Pool, turn: asyncio.Future[Connection | None]) -> None:
        """Leave the queue; what was handed over in the same moment goes to the next one."""
        if turn in pool.waiting:
            pool.waiting.remove(turn)
        elif turn.done() and not turn.cancelled():
            connection = turn.result()
            if connection is None:
                self._free_place(pool)
            else:
                self._on_idle(pool)(connection)

    async def _connect(self, pool: _Pool, request: Request, expires: float) -> Connection:
        """Open a connection in a place of the pool that the caller has taken; it goes when the connection does."""
        origin = request.origin
        connection = Connection(self._on_idle(pool), self._on_lost(pool), self._writes)
        try:
            self._check_open()
            async with asyncio.timeout_at(_connect_by(request, expires)):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    origin.address or origin.host,
                    origin.port,
                    ssl=self._context() if origin.scheme == "https" else None,
                    server_hostname=origin.host if origin.scheme == "https" else None,
                )
        except TimeoutError:
            connection.give_up()
            msg = f"{origin.host}:{origin.port} did not accept a connection in time"
            raise ConnectTimeoutError(msg) from None
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that no DNS could hold
            connection.give_up()
            msg = f"no connection to {origin.host}:{origin.port}: {_reason(error)}"
            raise ConnectError(msg) from error
        except BaseException:
            connection.give_up()
            raise
        if self._closed:
            connection.abort()
        self._check_open()
        if connection.is_closed:
            msg = f"{origin.host}:{origin.port} closed the connection at once"
            raise ConnectionBrokenError(msg)
        return connection

    def _check_open(self) -> None:
        if self._closed:
            msg = "the client is closed"
            raise ConnectError(msg)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    # -- giving it back -----------------------------------------------------------------------------------------

    def _on_idle(self, pool: _Pool) -> _Callback:
        def idle(connection: Connection) -> None:
            self._active.discard(connection)
            while pool.waiting:
                turn = pool.waiting.popleft()
                if not turn.done():
                    turn.set_result(connection)
                    return
            connection.idle_since = self._sweeps
            pool.idle.append(connection)
            if self._closed:
                connection.abort()

        return idle

    def _on_lost(self, pool: _Pool) -> _Callback:
        def lost(connection: Connection) -> None:
            self._active.discard(connection)
            self._free_place(pool)

        return lost

    def _free_place(self, pool: _Pool) -> None:
        """Pass the place of a closed connection on to whoever waits longest."""
        while pool.waiting:
            turn = pool.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        pool.open -= 1

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            now = loop.time()
            self._sweeps += 1
            for connection in [each for each in self._active if each.deadline <= now]:
                try:
                    connection.expire()
                except Exception:  # noqa: BLE001 - whoever is told of one call must not end the deadlines of all others
                    _log.exception("a call whose time was over could not be ended")
            for pool in self._pools.values():
                while pool.idle and (pool.idle[0].is_closed or self._sweeps - pool.idle[0].idle_since > IDLE_SWEEPS):
                    pool.idle.popleft().abort()
            self._forget_unused()
            if not self._pools:  # the next call begins it anew
                self._sweeper = None
                return

    def _forget_unused(self) -> None:
        """Let go of pools without connections: the origins that messages name are without number."""
        for key in [key for key, pool in self._pools.items() if not pool.open and not pool.waiting]:
            del self._pools[key]


def _expiry(request: Request) -> float:
    """The last moment of a call that begins now."""
    total = request.timeouts.total
    return _NEVER if total is None else asyncio.get_running_loop().time() + total


def _may_repeat(request: Request, connection: Connection) -> bool:
    """Whether a call may be sent once more whose kept connection was found to be closed."""
    unanswered = connection.reused and not connection.got_bytes and request.send_by is None
    return unanswered and request.method in _IDEMPOTENT and isinstance(request.body, bytes)


def _connect_by(request: Request, expires: float) -> float:
    return min(asyncio.get_running_loop().time() + request.timeouts.connect, expires)


def _reason(error: OSError | UnicodeError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
