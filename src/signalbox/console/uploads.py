"""Lets files in: who sends them is checked before a byte of them is read."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from signalbox.auth.principal import Principal
from signalbox.console import cookies, forgery
from signalbox.console.errors import ManagerOnlyError, SignInFirstError
from signalbox.console.page import Upload
from signalbox.console.services import Services
from signalbox.core.asgi import Receive, Scope, Send

Handle = Callable[[Scope, Receive, Send, Principal], Awaitable[None]]


class Gate:
    """Stands before what takes files."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def before(self, upload: Upload) -> Handle:
        """A raw endpoint for people who are signed in and may do this."""

        async def handle(scope: Scope, receive: Receive, send: Send, _anybody: Principal) -> None:
            principal = await self.check(Request(scope), upload)
            await upload.take(self._services, scope, receive, send, principal)

        return handle

    async def check(self, request: Request, upload: Upload) -> Principal:
        """Who sends it.

        Raises:
            SignInFirstError: nobody who is signed in.
            ForgedRequestError: the request comes from another site, or without the token of the session.
            ManagerOnlyError: the person may only look.
        """
        session = await self._services.auth.sessions.find(request.cookies.get(cookies.COOKIE, ""))
        if session is None:
            msg = "sign in again; your session has ended"
            raise SignInFirstError(msg)
        forgery.check_site(request)
        forgery.check_token(request.headers.get(forgery.HEADER), session.csrf)
        if upload.role == "manager" and session.principal.role != "manager":
            msg = "only people of the role manager may do this"
            raise ManagerOnlyError(msg)
        return session.principal
