"""All addresses of the console."""

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from signalbox.auth.doors import Poll
from signalbox.console.assets import Assets
from signalbox.console.cookies import root_of
from signalbox.console.desk import Desk, not_found
from signalbox.console.live import Live
from signalbox.console.page import Page, Route, action
from signalbox.console.services import Services
from signalbox.console.settings import StatusPageSettings
from signalbox.console.sign_in import PATH as SIGN_IN
from signalbox.console.sign_in import SignInPages, sign_out
from signalbox.console.status import StatusBoard
from signalbox.console.templating import Templates
from signalbox.console.uploads import Gate
from signalbox.console.visit import Visit
from signalbox.core.times import to_datetime

PREFIX = "/console"

_RENEWED = {"Cache-Control": "public, max-age=10"}


def build_router(services: Services, live: Live, pages: Sequence[Page]) -> APIRouter:
    """The pages, signing in and out, the live stream, and files; none of it is part of the API."""
    assets = Assets()
    templates = Templates(assets)
    desk, signing = Desk(services, templates, pages), SignInPages(services, templates)
    router = APIRouter(prefix=PREFIX, include_in_schema=False)

    async def follow(visit: Visit) -> Response:
        return live.stream(visit.session)

    async def asset(request: Request) -> Response:
        return assets.answer(request, request.path_params["digest"], request.path_params["name"])

    _add(router, SIGN_IN, desk.open_to_all(signing.show))
    _add(router, SIGN_IN, desk.open_to_all(signing.submit), method="POST")
    _add(router, "/static/{digest}/{name:path}", desk.open_to_all(asset))
    for page in pages:
        for route in page.routes:
            _add(router, route.path, desk.signed_in(route, page), method=route.method)
    for route in (action("/sign-out", sign_out, role="user"), Route("/live", follow), Route("/{path:path}", not_found)):
        _add(router, route.path, desk.signed_in(route, None), method=route.method)
    return router


def build_status_router(services: Services, settings: StatusPageSettings) -> APIRouter:
    """``/status`` and its badge, for everybody."""
    templates = Templates(Assets())
    desk, board = Desk(services, templates, ()), StatusBoard(services, settings.upstreams)
    router = APIRouter(include_in_schema=False)

    async def show(request: Request) -> Response:
        status, now = await board.read(), to_datetime(services.context.clock.now())
        values = {"root": root_of(request), "theme": "", "now": now, "title": settings.title, "status": status}
        return HTMLResponse(templates.render("status.html", values), headers=_RENEWED)

    async def badge(_request: Request) -> Response:
        status = await board.read()
        values = {"word": status.badge, "condition": status.condition, "width": 7 * len(status.badge)}
        return Response(templates.render("badge.svg", values), media_type="image/svg+xml", headers=_RENEWED)

    _add(router, "/status", desk.open_to_all(show))
    _add(router, "/status/badge.svg", desk.open_to_all(badge))
    return router


def build_uploads(services: Services, pages: Sequence[Page]) -> list[Poll]:
    """The addresses that take files."""
    gate = Gate(services)
    return [
        Poll(
            method="POST",
            path=f"{PREFIX}{upload.path}",
            scope=None,
            handle=gate.before(upload),
            summary=f"A file for the page {page.name}",
            answer=None,
            hidden=True,
        )
        for page in pages
        for upload in page.uploads
    ]


def _add(router: APIRouter, path: str, endpoint: object, *, method: str = "GET") -> None:
    router.add_api_route(path, endpoint, methods=[method], response_model=None)  # type: ignore[arg-type]
