"""Refuses requests that another site makes a browser send (cross-site request forgery).

Three things must hold for whatever changes something: the browser does not say that the request comes from elsewhere
(``Sec-Fetch-Site``), nor does its ``Origin``, and it carries the token that only pages of this session know.
"""

import hmac
from urllib.parse import urlsplit

from starlette.requests import Request

from signalbox.console.errors import ForgedRequestError

FIELD = "csrf_token"
HEADER = "X-CSRF-Token"

_ELSEWHERE = "this request comes from another site; open the page in the console and try again"
_STALE = "this page belongs to another session; load it again and retry"


def check_site(request: Request) -> None:
    """Refuse what comes from another site.

    Raises:
        ForgedRequestError: the browser says so.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        raise ForgedRequestError(_ELSEWHERE)
    if site is None and origin is not None and urlsplit(origin).netloc not in _hosts(request):
        raise ForgedRequestError(_ELSEWHERE)


def check_token(given: str | None, expected: str) -> None:
    """Refuse what does not carry the token of the session, compared in constant time.

    Raises:
        ForgedRequestError: it carries none, or another.
    """
    if given is None or not hmac.compare_digest(given.encode(), expected.encode()):
        raise ForgedRequestError(_STALE)


def _hosts(request: Request) -> set[str]:
    """By which names the browser may know this server. No page of another site can make it send a header of its own."""
    names = (request.headers.get(name, "") for name in ("host", "x-forwarded-host"))
    return {name.split(",")[0].strip() for name in names} - {""}
