"""The door of FastAPI routes: which scope they need, in code and in OpenAPI."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer

from signalbox.auth.credentials import TOKEN_HEADER
from signalbox.auth.errors import SignOnRequiredError
from signalbox.auth.principal import Principal
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.scopes import SCOPES, check_scopes, grants

Dependency = Callable[..., Awaitable[Principal]]


class Guard:
    """Makes dependencies that let callers with a scope through: ``Depends(guard.require("tasks:read"))``."""

    def __init__(self, runtime: AuthRuntime) -> None:
        self._runtime = runtime
        # relative, so that it also holds under a root path
        self._people = OAuth2PasswordBearer(tokenUrl="auth/token", scopes=dict(SCOPES), auto_error=False)
        self._apps = APIKeyHeader(name=TOKEN_HEADER, description="An app token, as it was shown", auto_error=False)

    @property
    def runtime(self) -> AuthRuntime:
        """Who tells callers apart, for doors and polls that find out by themselves who is asking."""
        return self._runtime

    def require(self, scope: str, *others: str) -> Dependency:
        """A dependency that yields the ``Principal`` of a caller with this scope, or one of the others.

        When called, it raises what ``AuthRuntime.authenticate`` and ``AuthRuntime.require`` raise.

        Raises:
            UnknownScopeError: there is no such scope.
        """
        check_scopes([scope, *others])
        runtime = self._runtime

        async def guarded(
            request: Request,
            _bearer: Annotated[str | None, Security(self._people, scopes=[scope])],
            _token: Annotated[str | None, Security(self._apps)],
        ) -> Principal:
            principal = await runtime.authenticate(request.headers.raw)
            if not any(grants(principal.scopes, other) for other in others):
                runtime.require(principal, scope)
            return principal

        return guarded

    def signed_on(self) -> Dependency:
        """A dependency that yields the ``Principal`` of a person or an app with whatever scopes.

        When called, it raises SignOnRequiredError for anonymous callers, and what ``AuthRuntime.authenticate`` raises.
        """
        runtime = self._runtime

        async def guarded(
            request: Request,
            _bearer: Annotated[str | None, Security(self._people)],
            _token: Annotated[str | None, Security(self._apps)],
        ) -> Principal:
            principal = await runtime.authenticate(request.headers.raw)
            if principal.kind == "anonymous":
                msg = "sign on first"
                raise SignOnRequiredError(msg)
            return principal

        return guarded
