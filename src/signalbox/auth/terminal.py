"""How commands run and talk: results to stdout, everything else to stderr."""

import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from signalbox.auth.models import AppToken, User
from signalbox.auth.passwords import check_strength
from signalbox.core.errors import InvalidError
from signalbox.core.times import to_datetime, to_micros, to_rfc3339
from signalbox.infra.context import Context

R = TypeVar("R")

Opener = Callable[[], AbstractAsyncContextManager[Context]]
"""Opens the seams for the time of one command."""

_PIPED_WIDTH: Final = 200
_MOMENTS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Since = Annotated[
    datetime | None,
    typer.Option(formats=_MOMENTS, metavar="TIME", help="First moment, such as 2026-01-31T10:00; UTC without a zone."),
]
Until = Annotated[datetime | None, typer.Option(formats=_MOMENTS, metavar="TIME", help="Moment behind the last.")]


class NoPasswordError(InvalidError):
    """No password was given and nobody can be asked for one."""

    code = "no_password"


class InvalidPairError(InvalidError):
    """What was to be name=value is not."""

    code = "invalid_pair"


@dataclass(frozen=True, slots=True)
class Listing:
    """A table: a heading for each column, and what stands in the rows; ``hint`` is the next step where none are."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    hint: str


def run(open_context: Opener, work: Callable[[Context], Awaitable[R]]) -> R:
    """Do the work of a command with the seams open."""

    async def opened() -> R:
        async with open_context() as context:
            return await work(context)

    return asyncio.run(opened())


def actor() -> str:
    """How the audit trail names whoever runs a command: ``cli:root``."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):  # a container may run as a user that has no name
        return "cli"


def to_moment(given: datetime | None) -> int | None:
    """Microseconds UTC of what ``--since`` or ``--until`` says; without a zone it is UTC."""
    return None if given is None else to_micros(given if given.tzinfo is not None else given.replace(tzinfo=UTC))


def ask_password(*, from_stdin: bool) -> str:
    """A new password: the first line of stdin, or typed in twice.

    Raises:
        NoPasswordError: stdin is no terminal and was not named as the place of the password.
        WeakPasswordError: it is too short or too long.
    """
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        msg = "there is no terminal to ask for the password; pipe it in and add --password-stdin"
        raise NoPasswordError(msg)
    check_strength(password)
    return password


def to_pairs(pairs: Sequence[str] | None) -> dict[str, str]:
    """The values of ``name=value`` by their names.

    Raises:
        InvalidPairError: one of the pairs is none.
    """
    found = {}
    for pair in pairs or []:
        name, mark, value = pair.partition("=")
        if not mark or not name:
            msg = f"{pair!r} is not name=value"
            raise InvalidPairError(msg)
        found[name] = value
    return found


def say(message: str) -> None:
    """Tell a person something."""
    typer.echo(message, err=True)


def print_json(value: Any) -> None:
    """Print what a script reads."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_listing(listing: Listing) -> None:
    """Print a table, or the next step where it would be empty."""
    if not listing.rows:
        say(listing.hint)
        return
    table = Table()
    for heading in listing.headings:
        table.add_column(heading)
    for row in listing.rows:
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table)


def show_minute(moment: datetime | None) -> str:
    """``2026-01-31 10:00 UTC`` for a table; nothing where there is none."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def show_second(moment: datetime | None) -> str:
    """``2026-01-31 10:00:00 UTC`` for a table; nothing where there is none."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def show_milliseconds(seconds: float | None) -> str:
    """``12.5 ms`` for a table; a dash where nothing was measured."""
    return "-" if seconds is None else f"{seconds * 1_000:.1f} ms"


def user_json(user: User) -> dict[str, Any]:
    """A user without the password's hash; times in RFC 3339."""
    return {
        "id": user.id,
        "name": user.name,
        "role": user.role,
        "created_at": _wire_time(user.created_at),
        "password_changed_at": _wire_time(user.password_changed_at),
        "disabled_at": _wire_time(user.disabled_at),
        "last_login_at": _wire_time(user.last_login_at),
    }


def token_json(token: AppToken) -> dict[str, Any]:
    """An app token without its hash; times in RFC 3339."""
    return {
        "id": token.id,
        "prefix": token.prefix,
        "app": token.app,
        "any_app": token.any_app,
        "scopes": token.scopes,
        "created_by": token.created_by,
        "created_at": _wire_time(token.created_at),
        "expires_at": _wire_time(token.expires_at),
        "revoked_at": _wire_time(token.revoked_at),
        "last_used_at": _wire_time(token.last_used_at),
    }


def user_listing(found: Sequence[User]) -> Listing:
    """Users as a table."""
    rows = [
        (user.name, user.role, "active" if user.disabled_at is None else "disabled", *_minutes(user)) for user in found
    ]
    hint = "There are no users yet. Add one: signalbox users add NAME --role manager"
    return Listing(["Name", "Role", "State", "Created", "Last sign-in"], rows, hint)


def token_listing(found: Sequence[AppToken], *, at: int) -> Listing:
    """App tokens as a table; ``at`` is the present in microseconds UTC."""
    rows = [
        (
            str(token.id),
            token.prefix + "…",
            _app(token),
            " ".join(token.scopes),
            _token_state(token, at),
            _minute(token.last_used_at),
        )
        for token in found
    ]
    hint = "There are no tokens yet. Make one: signalbox tokens create --app NAME --scope gateway"
    return Listing(["Id", "Token", "App", "Scopes", "State", "Last used"], rows, hint)


def _wire_time(micros: int | None) -> str | None:
    return None if micros is None else to_rfc3339(micros)


def _minutes(user: User) -> tuple[str, str]:
    return _minute(user.created_at), _minute(user.last_login_at)


def _minute(micros: int | None) -> str:
    return "never" if micros is None else f"{to_datetime(micros):%Y-%m-%d %H:%M} UTC"


def _app(token: AppToken) -> str:
    if not token.any_app:
        return token.app or ""
    return "any" if token.app is None else f"any ({token.app})"


def _token_state(token: AppToken, at: int) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is None:
        return "active"
    return "expired" if token.expires_at <= at else f"until {_minute(token.expires_at)}"
