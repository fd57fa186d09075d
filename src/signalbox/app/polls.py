"""Runs the polls that features declare."""

from signalbox.auth.doors import Poll
from signalbox.auth.runtime import AuthRuntime
from signalbox.core.asgi import Receive, Scope, Send


class PollRunner:
    """One poll as a raw ASGI application."""

    def __init__(self, poll: Poll, auth: AuthRuntime) -> None:
        self._handle, self._needs, self._auth = poll.handle, poll.scope, auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; expected failures are raised for the caller to answer."""
        needs, auth = self._needs, self._auth
        if needs is None:
            await self._handle(scope, receive, send, auth.anonymous)
            return
        principal = await auth.authenticate(scope["headers"])
        auth.require(principal, needs)
        await self._handle(scope, receive, send, principal)
