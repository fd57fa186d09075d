"""Signing in and out with a browser."""

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from signalbox.auth.sign_in import LoginRequest
from signalbox.console import cookies
from signalbox.console.forgery import check_site
from signalbox.console.services import Services
from signalbox.console.templating import Templates
from signalbox.console.visit import Visit, check
from signalbox.core.errors import (
    SignalboxError,
    TooManyError,
    UnauthenticatedError,
    UnavailableError,
    UnprocessableError,
)
from signalbox.core.times import MICROSECONDS

PATH = "/sign-in"


class SignInForm(BaseModel):
    """What is sent."""

    model_config = ConfigDict(extra="ignore")

    username: str = Field(min_length=1, max_length=200)
    password: str = Field(min_length=1, max_length=2_000)
    next: str = Field(default="", max_length=4_000)


class SignInPages:
    """The form, and what becomes of it."""

    def __init__(self, services: Services, templates: Templates) -> None:
        self._services, self._templates = services, templates

    async def show(self, request: Request) -> Response:
        """The form; whoever is signed in already goes on."""
        wanted = request.query_params.get("next", "")
        if await self._services.auth.sessions.find(request.cookies.get(cookies.COOKIE, "")) is not None:
            return RedirectResponse(cookies.local_path(request, wanted), 303)
        return self._form(request, wanted)

    async def submit(self, request: Request) -> Response:
        """Begin a session, or show the form with what is wrong.

        Raises:
            ForgedRequestError: another site sent this.
        """
        check_site(request)
        sent = dict(await request.form())
        wanted = str(sent.get("next", ""))
        try:
            form = check(SignInForm, sent)
            return await self._begin(request, form)
        except (UnauthenticatedError, TooManyError, UnavailableError) as error:
            return self._form(request, wanted, str(sent.get("username", "")), error)
        except UnprocessableError as error:
            return self._form(request, wanted, str(sent.get("username", "")), error)

    async def _begin(self, request: Request, form: SignInForm) -> Response:
        address = request.client.host if request.client else ""
        request_id = getattr(request.state, "request_id", None)
        wanted = LoginRequest(form.username, form.password, address=address, request_id=request_id)
        sessions = self._services.auth.sessions
        session = await sessions.begin(wanted)
        before = await sessions.find(request.cookies.get(cookies.COOKIE, ""))
        if before is not None:  # the browser holds one session; nobody could end the other
            await sessions.end(before, request_id=request_id)
        response = RedirectResponse(cookies.local_path(request, form.next), 303)
        seconds = (session.expires_at - self._services.context.clock.now()) // MICROSECONDS
        cookies.set_session(request, response, session.token, seconds=seconds)
        return response

    def _form(self, request: Request, wanted: str, name: str = "", error: SignalboxError | None = None) -> HTMLResponse:
        status = 200 if error is None else self._services.status_of(error)[0]
        message = None if error is None else "Enter a user name and a password." if status == 422 else str(error)  # noqa: PLR2004
        values = {"root": cookies.root_of(request), "theme": cookies.theme_of(request), "page": None}
        values |= {"next": wanted, "name": name, "message": message}
        return HTMLResponse(self._templates.render("sign_in.html", values), status)


async def sign_out(visit: Visit) -> Response:
    """End the session, in the database and in the browser."""
    await visit.services.auth.sessions.end(visit.session, request_id=visit.request_id)
    response = RedirectResponse(visit.url(PATH), 303)
    cookies.drop_session(visit.request, response)
    return response
