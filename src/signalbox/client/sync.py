"""The client for threads."""

import contextlib
import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Self

from signalbox.client.backoff import Backoff
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


class Client:
    """Reports and follows one signal of a hub. May be used by several threads at once."""

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
        self._timeout, self._tls = timeout, tls
        self._kept = threading.local()
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what follows, after the request that is under way."""
        self._closed.set()
        self._drop()

    def report(self, level: int, *, reason: str | None = None, changed_at: datetime | None = None) -> Kept:
        """Report a level, changed now or at a moment with a zone.

        Raises:
            RefusedError: the hub does not take it.
            UnreachableError: there was no answer; to report the same moment again does no harm.
        """
        return to_kept(self._send(self._messages.report(level, reason=reason, changed_at=changed_at)))

    def ask(self, *, since: int | None = None, wait: float = 0.0) -> Change | None:
        """The level if it has changed since this app was last told, or since a revision; waits so many seconds for it.

        Raises:
            RefusedError, UnreachableError: as ``report``.
        """
        return to_change(self._send(self._messages.ask(since=since, wait=wait)))

    def acknowledge(self, revision: int) -> None:
        """Tell the hub that this app has a change.

        Raises:
            RefusedError, UnreachableError: as ``report``.
        """
        check(self._send(self._messages.acknowledge(revision)))

    def changes(self) -> Iterator[Change]:
        """What the signal stands at, then each change, for ever; a hub that is away is waited for.

        A change counts as handled when the next is asked for. Of changes in quick succession the last is told.

        Raises:
            RefusedError: the hub says no.
        """
        backoff = Backoff()
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                change = self.ask(since=self.revision, wait=LONG_POLL)
            except UnreachableError as error:
                self._closed.wait(backoff.next(at_least=error.retry_after))
                continue
            if change is not None:
                backoff.reset()
                yield change
                self.revision = change.revision
                self._try_to_acknowledge(change.revision)
            elif time.monotonic() - began < LONG_POLL / 2:  # a hub that is about to end keeps nobody waiting
                self._closed.wait(backoff.next())
            else:
                backoff.reset()

    def follow(self, on_change: Callable[[Change], object]) -> None:
        """Call ``on_change`` with each of ``changes``, until the client is closed.

        What it raises comes out here. The change then was not handled, and comes again when ``follow`` is called again.

        Raises:
            RefusedError: the hub says no.
        """
        for change in self.changes():
            on_change(change)

    def _try_to_acknowledge(self, revision: int) -> None:
        with contextlib.suppress(UnreachableError):  # the next change says it as well
            self.acknowledge(revision)

    def _send(self, request: Request) -> Response:
        """Send on the connection of this thread; one that the hub has ended meanwhile is made anew."""
        reused = getattr(self._kept, "connection", None) is not None
        try:
            return self._send_once(request)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            if not reused or isinstance(error, TimeoutError):
                msg = f"the hub does not answer: {error or type(error).__name__}"
                raise UnreachableError(msg) from error
        try:
            return self._send_once(request)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            msg = f"the hub does not answer: {error or type(error).__name__}"
            raise UnreachableError(msg) from error

    def _send_once(self, request: Request) -> Response:
        connection = self._connection()
        if connection.sock is not None:
            connection.sock.settimeout(self._timeout + request.wait)
        connection.timeout = self._timeout + request.wait
        connection.request(request.method, request.target, request.body or None, dict(request.headers))
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Response(answer.status, headers, answer.read())

    def _connection(self) -> http.client.HTTPConnection:
        kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if kept is None:
            where = (self._messages.host, self._messages.port)
            if self._messages.scheme == "https":
                kept = http.client.HTTPSConnection(*where, timeout=self._timeout, context=self._tls)
            else:
                kept = http.client.HTTPConnection(*where, timeout=self._timeout)
            self._kept.connection = kept
        return kept

    def _drop(self) -> None:
        kept = getattr(self._kept, "connection", None)
        if kept is not None:
            kept.close()
            self._kept.connection = None
