"""The client for asyncio."""

import asyncio
import contextlib
import inspect
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from signalbox.client.backoff import Backoff
from signalbox.client.connection import BrokenError, Connection
from signalbox.client.errors import UnreachableError
from signalbox.client.messages import (
    DEFAULT_SIGNAL,
    LONG_POLL,
    Change,
    Kept,
    Messages,
    Request,
    Response,
    check,
    to_change,
    to_kept,
)

TIMEOUT = 10.0

_FAILURES = (OSError, EOFError, BrokenError)


class AsyncClient:
    """Reports and follows one signal of a hub, within one event loop."""

    def __init__(
        self,
        url: str,
        *,
        token: str,
        app: str | None = None,
        signal: str = DEFAULT_SIGNAL,
        timeout: float = TIMEOUT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``app``: the name of this app, for tokens that apps share. ``timeout``: seconds for a connection or answer."""
        self.revision = 0
        """The newest change that ``follow`` or ``changes`` is done with."""
        self._messages = Messages(url, token=token, app=app, signal=signal)
        self._timeout = timeout
        self._tls = tls or (ssl.create_default_context() if self._messages.scheme == "https" else None)
        self._idle: list[Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections; what follows is ended by cancelling it."""
        while self._idle:
            self._idle.pop().close()

    async def report(self, level: int, *, reason: str | None = None, changed_at: datetime | None = None) -> Kept:
        """Report a level, changed now or at a moment with a zone.

        Raises:
            RefusedError: the hub does not take it.
            UnreachableError: there was no answer; to report the same moment again does no harm.
        """
        return to_kept(await self._send(self._messages.report(level, reason=reason, changed_at=changed_at)))

    async def ask(self, *, since: int | None = None, wait: float = 0.0) -> Change | None:
        """The level if it has changed since this app was last told, or since a revision; waits so many seconds for it.

        Raises:
            RefusedError, UnreachableError: as ``report``.
        """
        return to_change(await self._send(self._messages.ask(since=since, wait=wait)))

    async def acknowledge(self, revision: int) -> None:
        """Tell the hub that this app has a change.

        Raises:
            RefusedError, UnreachableError: as ``report``.
        """
        check(await self._send(self._messages.acknowledge(revision)))

    async def changes(self) -> AsyncIterator[Change]:
        """What the signal stands at, then each change, for ever; a hub that is away is waited for.

        A change counts as handled when the next is asked for. Of changes in quick succession the last is told.

        Raises:
            RefusedError: the hub says no.
        """
        backoff, loop = Backoff(), asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                change = await self.ask(since=self.revision, wait=LONG_POLL)
            except UnreachableError as error:
                await asyncio.sleep(backoff.next(at_least=error.retry_after))
                continue
            if change is not None:
                backoff.reset()
                yield change
                self.revision = change.revision
                await self._try_to_acknowledge(change.revision)
            elif loop.time() - began < LONG_POLL / 2:  # a hub that is about to end keeps nobody waiting
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()

    async def follow(self, on_change: Callable[[Change], object]) -> None:
        """Call ``on_change``, a function or a coroutine function, with each of ``changes``, until cancelled.

        What it raises comes out here. The change then was not handled, and comes again when ``follow`` is called again.

        Raises:
            RefusedError: the hub says no.
        """
        async for change in self.changes():
            done = on_change(change)
            if inspect.isawaitable(done):
                await done

    async def _try_to_acknowledge(self, revision: int) -> None:
        with contextlib.suppress(UnreachableError):  # the next change says it as well
            await self.acknowledge(revision)

    async def _send(self, request: Request) -> Response:
        """Send on an idle connection; where the hub has ended that meanwhile, on a new one."""
        if self._idle:
            try:
                return await self._send_on(self._idle.pop(), request)
            except TimeoutError as error:
                raise _unreachable(error) from error
            except _FAILURES:
                pass
        try:
            async with asyncio.timeout(self._timeout):
                where = self._messages
                connection = await Connection.open(where.host, where.port, authority=where.authority, tls=self._tls)
            return await self._send_on(connection, request)
        except _FAILURES as error:  # a timeout is an OSError too
            raise _unreachable(error) from error

    async def _send_on(self, connection: Connection, request: Request) -> Response:
        try:
            async with asyncio.timeout(self._timeout + request.wait):
                response = await connection.send(request)
        finally:
            if connection.reusable:
                self._idle.append(connection)
            else:
                connection.close()
        return response


def _unreachable(error: Exception) -> UnreachableError:
    return UnreachableError(f"the hub does not answer: {error or type(error).__name__}")
