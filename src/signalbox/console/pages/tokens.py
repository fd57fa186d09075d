"""Tokens: with what apps sign on, and what that allows; for managers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from signalbox.auth import service
from signalbox.auth.errors import AppNameRequiredError, InvalidAppNameError, UnknownScopeError
from signalbox.auth.models import AppToken
from signalbox.auth.scopes import SCOPES
from signalbox.console.page import Page, Route, action
from signalbox.console.visit import Visit, check, triggers
from signalbox.core.errors import UnprocessableError
from signalbox.core.times import parse_span, to_datetime

LIFETIMES = (("30d", "30 days"), ("90d", "90 days"), ("365d", "a year"), ("", "never"))
"""When a token can end."""


class NewToken(BaseModel):
    """The token that is to be made."""

    model_config = ConfigDict(extra="ignore")

    app: Annotated[str | None, Field(max_length=500)] = None
    any_app: bool = False
    scopes: list[str]
    lifetime: Literal["30d", "90d", "365d"] | None = None


async def show(visit: Visit) -> Response:
    """The whole page."""
    return visit.render("tokens/index.html", **_fresh(), **await _rows(visit))


async def show_rows(visit: Visit) -> Response:
    """The table alone."""
    return visit.render("tokens/_rows.html", **await _rows(visit))


async def show_form(visit: Visit) -> Response:
    """The form for another token."""
    return visit.render("tokens/_new.html", **_fresh())


async def create(visit: Visit) -> Response:
    """Make a token; it is in this answer and nowhere else."""
    form = await visit.form()
    sent: dict[str, Any] = {name: str(value) for name, value in form.items() if name != "scope" and value != ""}
    sent["scopes"] = [str(value) for value in form.getlist("scope")]
    try:
        new, at = check(NewToken, sent), visit.now
        issued = await visit.services.context.db.write(
            service.create_token,
            app=new.app,
            any_app=new.any_app,
            scopes=new.scopes,
            expires_at=None if new.lifetime is None else at + parse_span(new.lifetime),
            actor=visit.actor,
            at=at,
            request_id=visit.request_id,
        )
    except UnprocessableError as error:
        return _form(visit, sent, {fault.where: fault.message for fault in error.faults})
    except (AppNameRequiredError, InvalidAppNameError) as error:
        return _form(visit, sent, {"app": str(error)})
    except UnknownScopeError as error:
        return _form(visit, sent, {"scopes": str(error)})
    response = visit.render("tokens/_made.html", token=_shown(issued.token, visit.now), text=issued.text)
    response.headers["HX-Trigger"] = triggers(f"Token {issued.token.id} works at once.", "audit")
    return response


async def revoke(visit: Visit) -> Response:
    """Let a token end.

    Raises:
        UnknownTokenError: there is none.
        TokenRevokedError: it was revoked before.
    """
    token = await visit.services.context.db.write(
        service.revoke_token, which=visit.path["id"], actor=visit.actor, at=visit.now, request_id=visit.request_id
    )
    return visit.done(f"The token {token.prefix}… is revoked: it fails within a second.", "audit")


def state_of(token: AppToken, *, now: int) -> tuple[str, str]:
    """The state of a token as a pill: its colour and its word."""
    if token.revoked_at is not None:
        return "bad", "revoked"
    if token.expires_at is not None and token.expires_at <= now:
        return "warning", "expired"
    return "ok", "active"


def _form(visit: Visit, sent: dict[str, Any], errors: dict[str, str]) -> Response:
    return visit.render("tokens/_new.html", status=422, **{**_fresh(), "sent": sent, "errors": errors})


def _fresh() -> dict[str, Any]:
    return {"scopes": SCOPES, "lifetimes": LIFETIMES, "sent": {"scopes": [], "lifetime": "90d"}, "errors": {}}


async def _rows(visit: Visit) -> dict[str, Any]:
    found = await visit.services.context.db.read(service.list_tokens)
    shown = [_shown(token, visit.now) for token in found]
    active = [token for token in shown if token["word"] == "active"]
    every = visit.query.get("show") == "all"
    return {"tokens": shown if every else active, "every": every, "ended": len(shown) - len(active)}


def _shown(token: AppToken, now: int) -> dict[str, Any]:
    """A token as pages show it: without its hash, times as they are read."""
    state, word = state_of(token, now=now)
    return {
        "id": token.id,
        "prefix": token.prefix,
        "app": token.app,
        "any_app": token.any_app,
        "scopes": token.scopes,
        "state": state,
        "word": word,
        "created_at": to_datetime(token.created_at),
        "created_by": token.created_by,
        "expires_at": None if token.expires_at is None else to_datetime(token.expires_at),
        "last_used_at": None if token.last_used_at is None else to_datetime(token.last_used_at),
    }


PAGE = Page(
    name="tokens",
    path="/admin/tokens",
    title="Tokens",
    icon="key",
    group="Administration",
    role="manager",
    routes=(
        Route("/admin/tokens", show, role="manager"),
        Route("/admin/tokens/rows", show_rows, role="manager"),
        Route("/admin/tokens/new", show_form, role="manager"),
        action("/admin/tokens", create),
        action("/admin/tokens/{id}/revoke", revoke),
    ),
)
