"""One request of somebody who is signed in, and the answers that pages give."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from signalbox.auth.sessions import BrowserSession
from signalbox.console.cookies import root_of, theme_of
from signalbox.console.errors import ManagerOnlyError, UnknownPageError
from signalbox.console.forgery import FIELD
from signalbox.console.services import Services
from signalbox.console.templating import Templates
from signalbox.core.errors import Fault, UnprocessableError
from signalbox.core.times import to_datetime

if TYPE_CHECKING:
    from signalbox.console.page import Page

    Navigation = Sequence[tuple[str, Sequence[Page]]]

Form = TypeVar("Form", bound=BaseModel)

LARGEST_NUMBER: Final = 2**53 - 1
"""No id is larger: JSON numbers, as JavaScript reads them, are exact up to here."""
DIGITS: Final = len(str(LARGEST_NUMBER))


class Visit:
    """What a handler of a page gets."""

    def __init__(
        self,
        request: Request,
        services: Services,
        templates: Templates,
        session: BrowserSession,
        *,
        navigation: "Navigation",
        page: "Page | None",
    ) -> None:
        self.request, self.services, self.session = request, services, session
        self._templates, self._navigation, self._page = templates, navigation, page

    # -- who asks what ------------------------------------------------------------------------------------------------

    @property
    def actor(self) -> str:
        """How the audit trail names the person."""
        return self.session.principal.actor

    @property
    def is_manager(self) -> bool:
        """Whether the person may change things."""
        return self.session.principal.role == "manager"

    @property
    def is_fragment(self) -> bool:
        """Whether htmx asks for a part of the page; else the browser wants it whole."""
        headers = self.request.headers
        return "hx-request" in headers and "hx-history-restore-request" not in headers

    @property
    def now(self) -> int:
        """Microseconds UTC."""
        return self.services.context.clock.now()

    @property
    def request_id(self) -> str | None:
        """For the audit trail."""
        return getattr(self.request.state, "request_id", None)

    @property
    def path(self) -> Mapping[str, str]:
        """Values of the parameters in the path."""
        return self.request.path_params

    @property
    def hand(self) -> dict[str, Any]:
        """Who does something, when, by which request, as the services of the grid want to know it."""
        return {"by": self.actor, "now": self.now, "request_id": self.request_id}

    def number(self, thing: str) -> int:
        """The number in the path of a ``thing``.

        Raises:
            UnknownPageError: the text there is none.
        """
        text = self.path["number"]
        if text.isascii() and text.isdecimal() and len(text) <= DIGITS and 0 < int(text) <= LARGEST_NUMBER:
            return int(text)
        msg = f"there is no {thing} {text[:40]!r}"
        raise UnknownPageError(msg)

    @property
    def paths(self) -> set[str]:
        """Where the navigation leads."""
        return {page.path for _, pages in self._navigation for page in pages}

    @property
    def query(self) -> Mapping[str, str]:
        """What stands in the address; of a name given twice the last."""
        return {name: value for name, value in self.request.query_params.items() if value != ""}

    async def form(self) -> FormData:
        """What was sent."""
        return await self.request.form()

    async def sent(self) -> dict[str, str]:
        """The fields of a form that were filled in, as texts."""
        given = {name: str(value).strip() for name, value in (await self.form()).items() if name != FIELD}
        return {name: value for name, value in given.items() if value}

    async def parse(self, model: type[Form]) -> Form:
        """What was sent, checked; fields that were left empty count as not sent.

        Raises:
            UnprocessableError: fields are missing or wrong; ``faults`` says which, and what is allowed.
        """
        sent = await self.form()
        return check(model, {name: value for name, value in sent.items() if value != ""})

    def check_manager(self) -> None:
        """Refuse a person who may only look.

        Raises:
            ManagerOnlyError: the person's role is not manager.
        """
        if not self.is_manager:
            msg = "only people of the role manager may do this"
            raise ManagerOnlyError(msg)

    # -- answers ------------------------------------------------------------------------------------------------------

    def url(self, path: str = "") -> str:
        """The address of a path below ``/console``."""
        return f"{root_of(self.request)}/console{path}"

    def render(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page, or a fragment of one: a template, which knows these values besides those of every page."""
        return HTMLResponse(self._templates.render(template, {**self._shared(), "status": status, **values}), status)

    def json(self, values: Any) -> Response:
        """What a chart is drawn from."""
        return JSONResponse(values, headers={"Cache-Control": "no-store"})

    def done(self, message: str, *topics: str, location: str | None = None, kind: str = "ok") -> Response:
        """After an action: say what came of it, and have everything that shows these topics look anew.

        With ``location``, a path below ``/console``, the browser goes there instead. ``kind`` is ok, warning or bad.
        """
        if not self.is_fragment:
            referer = location if location is not None else "" if self._page is None else self._page.path
            return RedirectResponse(self.url(referer), 303)
        if location is not None:
            return Response(status_code=204, headers={"HX-Redirect": self.url(location)})
        return Response(status_code=204, headers={"HX-Trigger": triggers(message, *topics, kind=kind)})

    def _shared(self) -> dict[str, Any]:
        return {
            "root": root_of(self.request),
            "theme": theme_of(self.request),
            "now": to_datetime(self.now),
            "csrf": self.session.csrf,
            "me": self.session.principal,
            "is_manager": self.is_manager,
            "navigation": self._navigation,
            "page": self._page,
            "query": self.query,
            "version": self.services.version,
        }


def check(model: type[Form], values: Mapping[str, Any]) -> Form:
    """Values as a model has them.

    Raises:
        UnprocessableError: fields are missing or wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise UnprocessableError([Fault(".".join(map(str, each["loc"])), each["msg"]) for each in found]) from None


def messages(error: UnprocessableError) -> dict[str, str]:
    """What a form says beside its fields, by their names; the empty name stands for the form as a whole."""
    return {fault.where: fault.message.removeprefix("Value error, ") for fault in error.faults}


def triggers(message: str, *topics: str, kind: str = "ok") -> str:
    """Value of ``HX-Trigger``: a message for the person, and topics that have changed."""
    return json.dumps({"toast": {"message": message, "kind": kind}, **{f"live:{topic}": {} for topic in topics}})
