"""Runs the polls that features declare."""

from collections.abc import Mapping

from signalbox.auth.doors import Poll, Ready
from signalbox.auth.runtime import AuthRuntime
from signalbox.core.asgi import Receive, Scope, Send
from signalbox.core.errors import SignalboxError


class PollRunner:
    """One poll as a raw ASGI application."""

    def __init__(self, poll: Poll, auth: AuthRuntime) -> None:
        self._handle, self._needs, self._auth = poll.handle, poll.scope, auth
        self._at_once = poll.at_once

    @property
    def has_ready(self) -> bool:
        """Whether ``at_once`` may find anything."""
        return self._at_once is not None

    def at_once(self, headers: Mapping[bytes, bytes], parameters: Mapping[str, str], now: int) -> Ready | None:
        """The answer if it is at hand and the caller may have it; None: the request is served as any other.

        A plain function: most of what an answer from memory costs is coroutines that have nothing to wait for.
        """
        find, needs, auth = self._at_once, self._needs, self._auth
        if find is None:
            return None
        if needs is None:
            return find(headers, parameters, auth.anonymous, now)
        try:
            principal = auth.recall(headers, at=now)
        except SignalboxError:  # it will be raised again where it is answered
            return None
        if principal is None or not auth.allows(principal, needs):
            return None
        return find(headers, parameters, principal, now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; expected failures are raised for the caller to answer."""
        needs, auth = self._needs, self._auth
        if needs is None:
            await self._handle(scope, receive, send, auth.anonymous)
            return
        principal = await auth.authenticate(scope["headers"])
        auth.require(principal, needs)
        await self._handle(scope, receive, send, principal)
