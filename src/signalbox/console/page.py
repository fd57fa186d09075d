"""What a page is made of: its place in the navigation, and the routes that belong to it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.responses import Response

from signalbox.auth.principal import Principal
from signalbox.auth.scopes import Role
from signalbox.console.services import Services
from signalbox.console.visit import Visit
from signalbox.core.asgi import Receive, Scope, Send

Handler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One address below ``/console``.

    Whatever changes something is POST, and for managers unless said otherwise; the token against forgery is checked
    before the handler runs.
    """

    path: str
    """Such as ``/jobs/{id}``; values of parameters are in ``visit.path``."""
    handler: Handler
    method: Literal["GET", "POST"] = "GET"
    role: Role = "user"
    """Who may come; a user who asks for what only managers may do is refused with 403."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One address below ``/console`` that takes a file of whatever size by POST, as it comes.

    ``take(services, scope, receive, send, principal)`` runs once session, role and the token against forgery (which
    must be in the header) have been checked, and answers by itself, with JSON; what it raises is answered as in the API.
    """

    path: str
    take: Callable[[Services, Scope, Receive, Send, Principal], Awaitable[None]]
    role: Role = "manager"


@dataclass(frozen=True, slots=True)
class Page:
    """An entry of the navigation, and all routes of its module."""

    name: str
    """One word; also the name of its folder of templates."""
    path: str
    """Where the navigation leads, such as ``/jobs``; empty for the first page."""
    title: str
    icon: str
    """Name of a symbol of ``templates/macros/icons.html``."""
    routes: Sequence[Route]
    role: Role = "user"
    """Who sees it in the navigation."""
    uploads: Sequence[Upload] = ()
    group: str = ""
    """Heading in the navigation under which it stands."""


def navigation(pages: Sequence[Page], role: Role) -> list[tuple[str, list[Page]]]:
    """What somebody sees of the navigation: pages by group, groups as they first come."""
    groups: dict[str, list[Page]] = {}
    for page in pages:
        if role in ("manager", page.role):
            groups.setdefault(page.group, []).append(page)
    return list(groups.items())


def action(path: str, handler: Handler, *, role: Role = "manager") -> Route:
    """A route that changes something."""
    return Route(path, handler, method="POST", role=role)
