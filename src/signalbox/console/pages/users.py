"""Users: who may sign in, and as what; for managers."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from signalbox.auth import users
from signalbox.auth.audit import AuditFilter
from signalbox.auth.errors import InvalidUserNameError, UserExistsError, WeakPasswordError
from signalbox.auth.models import User
from signalbox.auth.scopes import ROLES, Role
from signalbox.console.errors import OwnAccountError
from signalbox.console.page import Page, Route, action
from signalbox.console.visit import Visit, triggers
from signalbox.core.errors import UnprocessableError
from signalbox.core.times import to_datetime
from signalbox.ops.service import list_audit

LATEST = 8
"""Entries of the audit trail beside a user."""


class NewUser(BaseModel):
    """Who is to be added."""

    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, Field(max_length=200)]
    role: Role
    password: Annotated[str, Field(max_length=2_000)]


class NewPassword(BaseModel):
    """What somebody is to sign in with."""

    model_config = ConfigDict(extra="ignore")

    password: Annotated[str, Field(max_length=2_000)]


class NewRole(BaseModel):
    """What somebody is to be."""

    model_config = ConfigDict(extra="ignore")

    role: Role


async def show(visit: Visit) -> Response:
    """The whole page."""
    return visit.render("users/index.html", errors={}, sent={}, **await _rows(visit))


async def show_rows(visit: Visit) -> Response:
    """The table alone."""
    return visit.render("users/_rows.html", **await _rows(visit))


async def show_user(visit: Visit) -> Response:
    """One user.

    Raises:
        UnknownUserError: there is no such user.
    """
    return visit.render("users/user.html", errors={}, **await _user(visit))


async def show_state(visit: Visit) -> Response:
    """What is known of one user.

    Raises:
        UnknownUserError: there is no such user.
    """
    return visit.render("users/_state.html", **await _user(visit))


async def add(visit: Visit) -> Response:
    """Add a user; the form is answered with an empty one, or with what is wrong."""
    sent = {name: str(value) for name, value in (await visit.form()).items()}
    try:
        new = await visit.parse(NewUser)
        users.check_name(new.name)
        hashed = await visit.services.auth.hash_password(new.password)
        added = await visit.services.context.db.write(
            users.add_user,
            name=new.name,
            password=hashed,
            role=new.role,
            actor=visit.actor,
            at=visit.now,
            request_id=visit.request_id,
        )
    except UnprocessableError as error:
        return _form(visit, sent, {fault.where: fault.message for fault in error.faults})
    except (InvalidUserNameError, UserExistsError) as error:
        return _form(visit, sent, {"name": str(error)})
    except WeakPasswordError as error:
        return _form(visit, sent, {"password": str(error)})
    response = visit.render("users/_add.html", errors={}, sent={}, roles=ROLES)
    response.headers["HX-Trigger"] = triggers(f"{added.name} ({added.role}) can sign in.", "audit")
    return response


async def set_password(visit: Visit) -> Response:
    """Give a user another password.

    Raises:
        UnknownUserError: there is no such user.
    """
    name = visit.path["name"]
    try:
        new = await visit.parse(NewPassword)
        await visit.services.context.db.read(users.get_user, name=name)
        hashed = await visit.services.auth.hash_password(new.password)
    except (UnprocessableError, WeakPasswordError) as error:
        said = error.faults[0].message if isinstance(error, UnprocessableError) else str(error)
        return visit.render("users/_password.html", status=422, errors={"password": said}, name=name)
    user = await visit.services.context.db.write(
        users.set_password, name=name, password=hashed, actor=visit.actor, at=visit.now, request_id=visit.request_id
    )
    response = visit.render("users/_password.html", errors={}, name=name)
    response.headers["HX-Trigger"] = triggers(f"{user.name} has a new password, and must sign in again.", "audit")
    return response


async def set_role(visit: Visit) -> Response:
    """Give a user another role.

    Raises:
        UnknownUserError: there is no such user.
        UserUnchangedError: the user has it already.
        OwnAccountError: it is the user who asks.
        UnprocessableError: there is no such role.
    """
    wanted = await visit.parse(NewRole)
    _check_other(visit, "take away your own role")
    user = await visit.services.context.db.write(
        users.set_role,
        name=visit.path["name"],
        role=wanted.role,
        actor=visit.actor,
        at=visit.now,
        request_id=visit.request_id,
    )
    return visit.done(f"{user.name} is a {user.role} now, and must sign in again.", "audit")


async def disable(visit: Visit) -> Response:
    """Shut a user out.

    Raises:
        UnknownUserError: there is no such user.
        UserUnchangedError: the user is disabled already.
        OwnAccountError: it is the user who asks.
    """
    _check_other(visit, "disable yourself")
    user = await visit.services.context.db.write(
        users.disable_user, name=visit.path["name"], actor=visit.actor, at=visit.now, request_id=visit.request_id
    )
    return visit.done(f"{user.name} is disabled, and signed out everywhere.", "audit")


async def enable(visit: Visit) -> Response:
    """Let a user in again.

    Raises:
        UnknownUserError: there is no such user.
        UserUnchangedError: the user is not disabled.
    """
    user = await visit.services.context.db.write(
        users.enable_user, name=visit.path["name"], actor=visit.actor, at=visit.now, request_id=visit.request_id
    )
    return visit.done(f"{user.name} can sign in again.", "audit")


def _check_other(visit: Visit, what: str) -> None:
    if users.name_key(visit.path["name"]) == users.name_key(visit.session.principal.name):
        msg = f"you cannot {what}: another manager can"
        raise OwnAccountError(msg)


def _form(visit: Visit, sent: dict[str, str], errors: dict[str, str]) -> Response:
    """The form again, with what was sent but the password."""
    return visit.render("users/_add.html", status=422, errors=errors, sent=sent, roles=ROLES)


async def _rows(visit: Visit) -> dict[str, Any]:
    found = await visit.services.context.db.read(users.list_users)
    return {"users": [_shown(user) for user in found], "roles": ROLES}


async def _user(visit: Visit) -> dict[str, Any]:
    read = visit.services.context.db.read
    user = await read(users.get_user, name=visit.path["name"])
    page = await read(list_audit, wanted=AuditFilter(target=f"user:{user.name}"), limit=LATEST)
    own = user.name == visit.session.principal.name
    return {"user": _shown(user), "name": user.name, "entries": page.items, "own": own, "roles": ROLES}


def _shown(user: User) -> dict[str, Any]:
    """A user as pages show one: without the hash, times as they are read."""
    return {
        "name": user.name,
        "role": user.role,
        "created_at": to_datetime(user.created_at),
        "password_changed_at": to_datetime(user.password_changed_at),
        "disabled_at": None if user.disabled_at is None else to_datetime(user.disabled_at),
        "last_login_at": None if user.last_login_at is None else to_datetime(user.last_login_at),
    }


PAGE = Page(
    name="users",
    path="/admin/users",
    title="Users",
    icon="users",
    group="Administration",
    role="manager",
    routes=(
        Route("/admin/users", show, role="manager"),
        Route("/admin/user-rows", show_rows, role="manager"),
        action("/admin/users", add),
        Route("/admin/users/{name}", show_user, role="manager"),
        Route("/admin/users/{name}/state", show_state, role="manager"),
        action("/admin/users/{name}/password", set_password),
        action("/admin/users/{name}/role", set_role),
        action("/admin/users/{name}/disable", disable),
        action("/admin/users/{name}/enable", enable),
    ),
)
