"""Between a request and the page it is for: who is it, may they, and what if something fails."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from signalbox.console import cookies, forgery
from signalbox.console.errors import UnknownPageError
from signalbox.console.page import Page, Route, navigation
from signalbox.console.services import Services
from signalbox.console.sign_in import PATH as SIGN_IN
from signalbox.console.templating import Templates
from signalbox.console.visit import Visit, triggers
from signalbox.core.errors import SignalboxError
from signalbox.core.times import to_datetime

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without any, browsers send "Origin: null" with our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Of every answer: pages run and show nothing but what this server sends."""

_log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


class Desk:
    """Runs the handlers of pages."""

    def __init__(self, services: Services, templates: Templates, pages: Sequence[Page]) -> None:
        self._services, self._templates, self._pages = services, templates, pages

    def open_to_all(self, handler: Endpoint) -> Endpoint:
        """An endpoint that needs no session."""

        async def endpoint(request: Request) -> Response:
            return await self._guarded(request, None, lambda: handler(request))

        return endpoint

    def signed_in(self, route: Route, page: Page | None) -> Endpoint:
        """An endpoint for people who are signed in, and may do what the route does."""

        async def endpoint(request: Request) -> Response:
            session = None
            try:
                session = await self._services.auth.sessions.find(request.cookies.get(cookies.COOKIE, ""))
            except SignalboxError as error:
                return _hardened(self._refusal(request, None, error))
            if session is None:
                return _hardened(_to_sign_in(request))
            shown = navigation(self._pages, session.principal.role or "user")
            visit = Visit(request, self._services, self._templates, session, navigation=shown, page=page)
            return await self._guarded(request, visit, lambda: _run(route, visit))

        return endpoint

    async def _guarded(
        self, request: Request, visit: Visit | None, handle: Callable[[], Awaitable[Response]]
    ) -> Response:
        try:
            return _hardened(await handle())
        except (SignalboxError, HTTPException) as error:
            return _hardened(self._refusal(request, visit, error))
        except ClientDisconnect:
            _log.debug("a browser went away before it had sent all", extra={"path": request.url.path})
            return _hardened(Response(status_code=400))
        except Exception:  # noqa: BLE001 - the person gets a page all the same, the log everything
            _log.exception("a page failed", extra={"path": request.url.path})
            return _hardened(self._refusal(request, visit, None))

    def _refusal(self, request: Request, visit: Visit | None, error: SignalboxError | HTTPException | None) -> Response:
        status, title, detail = self._told(error)
        if "hx-request" in request.headers:  # the page stays as it is, and says what happened
            return Response(
                status_code=status, headers={"HX-Reswap": "none", "HX-Trigger": triggers(detail, kind="bad")}
            )
        if visit is not None:
            return visit.render("error.html", status=status, title=title, detail=detail)
        now = to_datetime(self._services.context.clock.now())
        values: dict[str, Any] = {"root": cookies.root_of(request), "theme": cookies.theme_of(request), "now": now}
        values |= {"page": None, "status": status, "title": title, "detail": detail}
        return HTMLResponse(self._templates.render("error_bare.html", values), status)

    def _told(self, error: SignalboxError | HTTPException | None) -> tuple[int, str, str]:
        """Status, title and detail; a form that cannot be read is an HTTPException (400 or 413)."""
        if error is None:
            return 500, "Something went wrong", "This should not have happened. The log says what it was."
        if isinstance(error, HTTPException):
            return error.status_code, HTTPStatus(error.status_code).phrase, error.detail
        return *self._services.status_of(error), str(error)


async def not_found(visit: Visit) -> Response:
    """Whatever no page claims; a slash too many at the end is taken off.

    Raises:
        UnknownPageError: it is no page.
    """
    path = visit.path["path"]
    if not path or path.endswith("/"):
        return RedirectResponse(visit.url("/" + path.strip("/") if path.strip("/") else ""), 303)
    msg = f"the console has no page {visit.request.url.path[:200]}"
    raise UnknownPageError(msg)


async def _run(route: Route, visit: Visit) -> Response:
    if route.method == "POST":
        forgery.check_site(visit.request)
        given = visit.request.headers.get(forgery.HEADER)
        if given is None:
            given = str((await visit.form()).get(forgery.FIELD, ""))
        forgery.check_token(given, visit.session.csrf)
    if route.role == "manager":
        visit.check_manager()
    if any("\0" in each for each in visit.path.values()):  # PostgreSQL could not even be asked for it
        msg = "the console has no page whose address holds a NUL"
        raise UnknownPageError(msg)
    response = await route.handler(visit)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _to_sign_in(request: Request) -> Response:
    """Lead to the sign-in, and from there back to where the person wanted to go."""
    if "hx-request" in request.headers:
        shown = request.headers.get("hx-current-url", "")
        place = "/" + shown.split("/", 3)[3] if shown.count("/") > 2 else ""  # noqa: PLR2004 - scheme://host/path
        return Response(status_code=401, headers={"HX-Redirect": _sign_in_url(request, place)})
    query = f"?{request.url.query}" if request.url.query else ""
    place = f"{request.url.path}{query}" if request.method == "GET" else ""
    return RedirectResponse(_sign_in_url(request, place), 303)


def _sign_in_url(request: Request, place: str) -> str:
    home = f"{cookies.root_of(request)}/console"
    kept = cookies.local_path(request, place)
    following = "" if kept == home else f"?next={quote(kept, safe='/')}"
    return f"{home}{SIGN_IN}{following}"


def _hardened(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
