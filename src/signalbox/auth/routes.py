"""Sign-on over HTTP."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import OAuth2PasswordRequestForm

from signalbox.auth.principal import Principal
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.schemas import Me, TokenAnswer
from signalbox.auth.security import Guard
from signalbox.auth.sign_in import LoginRequest

AddressOf = Callable[[Request], str]
RequestIdOf = Callable[[Request], str | None]

_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"description": "A scope asked for does not exist"},
    401: {"description": "The user or the password is wrong"},
    403: {"description": "The user's role does not grant a scope asked for"},
    429: {"description": "Too many sign-ins failed; Retry-After tells when to try again"},
}


def peer_address(request: Request) -> str:
    """The address of whoever opened the connection."""
    return request.client.host if request.client else ""


def state_request_id(request: Request) -> str | None:
    """The request id that a middleware left in ``request.state.request_id``."""
    return getattr(request.state, "request_id", None)


def build_router(
    runtime: AuthRuntime,
    guard: Guard,
    *,
    address_of: AddressOf = peer_address,
    request_id_of: RequestIdOf = state_request_id,
) -> APIRouter:
    """The routes below ``/auth``; ``address_of`` tells who is limited, ``request_id_of`` what the audit notes."""
    router = APIRouter(prefix="/auth", tags=["auth"])

    @router.post("/token", responses=_REFUSALS)
    async def sign_in(
        form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request, response: Response
    ) -> TokenAnswer:
        """Sign in with a name and a password (OAuth2 password grant); without scopes, all of the role are granted."""
        wanted = LoginRequest(
            form.username, form.password, form.scopes, address=address_of(request), request_id=request_id_of(request)
        )
        session = await runtime.sign_in(wanted)
        response.headers["Cache-Control"] = "no-store"
        scope = " ".join(sorted(session.scopes))
        return TokenAnswer(access_token=session.access_token, expires_in=session.expires_in, scope=scope)

    @router.get("/me", responses={401: {"description": "Nobody signed on"}})
    async def me(principal: Annotated[Principal, Depends(guard.signed_on())]) -> Me:
        """Who is asking, and what they may do."""
        scopes = sorted(principal.scopes)
        return Me(name=principal.name, kind=principal.kind, app=principal.app, role=principal.role, scopes=scopes)

    return router
