"""The cookie that holds the session, and where a browser is sent after signing in."""

import re

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "signalbox_session"
THEME = "signalbox_theme"
"""Written by the page's own script, when somebody chooses."""
THEMES = ("light", "dark")
TOUR = "signalbox_tour"
"""The same, where somebody has dismissed the tour: ``hidden``."""

_LOCAL = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
_LONGEST = 2_000


def root_of(request: Request) -> str:
    """The path below which the hub is served, such as ``/b``; empty where it is served at ``/``."""
    return str(request.scope.get("root_path", ""))


def theme_of(request: Request) -> str:
    """``light`` or ``dark`` where somebody has chosen in this browser; empty: as the system is."""
    chosen = request.cookies.get(THEME, "")
    return chosen if chosen in THEMES else ""


def is_tour_hidden(request: Request) -> bool:
    """Whether somebody has dismissed the tour in this browser."""
    return request.cookies.get(TOUR) == "hidden"


def is_secure(request: Request) -> bool:
    """Whether the browser came over https, by itself or as a proxy says.

    Anybody may write ``X-Forwarded-Proto``: who lies only keeps their own cookie off plain http.
    """
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").split(",")[0].strip())


def set_session(request: Request, response: Response, token: str, *, seconds: int) -> None:
    """Have the browser hold a session, for pages of the console alone."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=seconds,
        path=f"{root_of(request)}/console",
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )


def drop_session(request: Request, response: Response) -> None:
    """Have the browser forget its session."""
    response.delete_cookie(
        COOKIE, path=f"{root_of(request)}/console", secure=is_secure(request), httponly=True, samesite="lax"
    )


def local_path(request: Request, wanted: str) -> str:
    """Where to go after signing in: ``wanted`` if it is a path of this console, else its first page."""
    home = f"{root_of(request)}/console"
    is_ours = wanted == home or wanted.startswith((f"{home}/", f"{home}?"))
    if len(wanted) > _LONGEST or not is_ours or ".." in wanted or _LOCAL.fullmatch(wanted) is None:
        return home
    return wanted
