"""Users and app tokens on the command line.

What a script wants (a table, JSON, the bare token) goes to stdout, everything else to stderr.
"""

from typing import Annotated, Final

import typer

from signalbox.auth import service, terminal, users
from signalbox.auth.models import AppToken, HashedPassword, User
from signalbox.auth.passwords import Passwords
from signalbox.auth.scopes import SCOPES, Role
from signalbox.auth.terminal import Opener, run
from signalbox.core.errors import InvalidError
from signalbox.core.times import DAY, parse_span
from signalbox.infra.context import Context

LONGEST_EXPIRY: Final = 36_500 * DAY

Name = Annotated[str, typer.Argument(help="Name of the user, in whatever case.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")]


class InvalidExpiryError(InvalidError):
    """A token was to live for longer than anything does."""

    code = "invalid_expiry"


def build_commands(open_context: Opener) -> tuple[typer.Typer, typer.Typer]:
    """The command groups ``users`` and ``tokens``; expected failures are raised as SignalboxError."""
    return _build_users(open_context), _build_tokens(open_context)


async def _hash(password: str) -> HashedPassword:
    passwords = Passwords()
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


# -- users ------------------------------------------------------------------------------------------------------


def _build_users(open_context: Opener) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help="People who sign on with a name and a password.")
    _add_user_commands(group, open_context)
    _add_state_commands(group, open_context)
    return group


def _add_user_commands(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def add(
        name: Name,
        role: Annotated[Role, typer.Option(help="user reads everything, manager may do everything.")],
        *,
        password_stdin: FromStdin = False,
        as_json: Json = False,
    ) -> None:
        """Add a user."""
        users.check_name(name)
        password = terminal.ask_password(from_stdin=password_stdin)

        async def work(context: Context) -> User:
            hashed, actor, at = await _hash(password), terminal.actor(), context.clock.now()
            return await context.db.write(users.add_user, name=name, password=hashed, role=role, actor=actor, at=at)

        _tell_user(run(open_context, work), "is added", as_json=as_json)

    @group.command()
    def password(name: Name, *, password_stdin: FromStdin = False, as_json: Json = False) -> None:
        """Set a new password; whoever is signed in with the old one is signed out."""
        chosen = terminal.ask_password(from_stdin=password_stdin)

        async def work(context: Context) -> User:
            await context.db.read(users.get_user, name=name)
            hashed, actor, at = await _hash(chosen), terminal.actor(), context.clock.now()
            return await context.db.write(users.set_password, name=name, password=hashed, actor=actor, at=at)

        _tell_user(run(open_context, work), "has a new password", as_json=as_json)

    @group.command()
    def role(
        name: Name,
        role: Annotated[Role, typer.Argument(help="user reads everything, manager may do everything.")],
        *,
        as_json: Json = False,
    ) -> None:
        """Give a user another role; whoever is signed in must sign in again."""

        async def work(context: Context) -> User:
            actor, at = terminal.actor(), context.clock.now()
            return await context.db.write(users.set_role, name=name, role=role, actor=actor, at=at)

        _tell_user(run(open_context, work), "has another role", as_json=as_json)

    @group.command("list")
    def list_users(*, as_json: Json = False) -> None:
        """List users by name."""

        async def work(context: Context) -> list[User]:
            return await context.db.read(users.list_users)

        found = run(open_context, work)
        if as_json:
            terminal.print_json([terminal.user_json(user) for user in found])
        else:
            terminal.print_listing(terminal.user_listing(found))


def _add_state_commands(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def disable(name: Name, *, as_json: Json = False) -> None:
        """Keep a user from signing in, and sign them out."""

        async def work(context: Context) -> User:
            actor, at = terminal.actor(), context.clock.now()
            return await context.db.write(users.disable_user, name=name, actor=actor, at=at)

        _tell_user(run(open_context, work), "is disabled", as_json=as_json)

    @group.command()
    def enable(name: Name, *, as_json: Json = False) -> None:
        """Let a disabled user sign in again."""

        async def work(context: Context) -> User:
            actor, at = terminal.actor(), context.clock.now()
            return await context.db.write(users.enable_user, name=name, actor=actor, at=at)

        _tell_user(run(open_context, work), "is enabled", as_json=as_json)


def _tell_user(user: User, what: str, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(terminal.user_json(user))
    terminal.say(f"The user {user.name} ({user.role}) {what}.")


# -- tokens -----------------------------------------------------------------------------------------------------


def _build_tokens(open_context: Opener) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help="Tokens with which apps sign on.")
    _add_create(group, open_context)
    _add_token_commands(group, open_context)
    return group


def _add_create(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def create(
        *,
        scope: Annotated[
            list[str], typer.Option(help=f"What it allows, repeatable: {', '.join(SCOPES)}.", show_default=False)
        ],
        app: Annotated[str | None, typer.Option(help="The app it is for.", show_default=False)] = None,
        any_app: Annotated[bool, typer.Option("--any-app", help="Callers name their app in App-name.")] = False,
        expires: Annotated[str | None, typer.Option(help="When it ends, such as 90d; never if not given.")] = None,
        as_json: Json = False,
    ) -> None:
        """Make an app token. It works at once and is shown this once: the last line of stdout."""
        lifetime = None if expires is None else _parse_expiry(expires)

        async def work(context: Context) -> service.IssuedToken:
            at, actor = context.clock.now(), terminal.actor()
            ends = None if lifetime is None else at + lifetime
            return await context.db.write(
                service.create_token, app=app, any_app=any_app, scopes=scope, expires_at=ends, actor=actor, at=at
            )

        _tell_token(run(open_context, work), as_json=as_json)


def _add_token_commands(group: typer.Typer, open_context: Opener) -> None:
    @group.command("list")
    def list_tokens(*, as_json: Json = False) -> None:
        """List app tokens, newest first."""

        async def work(context: Context) -> tuple[list[AppToken], int]:
            return await context.db.read(service.list_tokens), context.clock.now()

        found, at = run(open_context, work)
        if as_json:
            terminal.print_json([terminal.token_json(token) for token in found])
        else:
            terminal.print_listing(terminal.token_listing(found, at=at))

    @group.command()
    def revoke(
        token: Annotated[str, typer.Argument(help="Its id or the beginning of its prefix.", show_default=False)],
        *,
        as_json: Json = False,
    ) -> None:
        """Revoke an app token; it fails within a second."""

        async def work(context: Context) -> AppToken:
            actor, at = terminal.actor(), context.clock.now()
            return await context.db.write(service.revoke_token, which=token, actor=actor, at=at)

        revoked = run(open_context, work)
        if as_json:
            terminal.print_json(terminal.token_json(revoked))
        terminal.say(f"The token {revoked.prefix}… is revoked.")


def _tell_token(issued: service.IssuedToken, *, as_json: bool) -> None:
    terminal.say(f"Token {issued.token.id} may: {' '.join(issued.token.scopes)}. It is shown only this once:")
    if as_json:
        terminal.print_json({**terminal.token_json(issued.token), "token": issued.text})
    else:
        typer.echo(issued.text)


def _parse_expiry(text: str) -> int:
    span = parse_span(text)
    if span > LONGEST_EXPIRY:
        msg = f"a token may live for at most {LONGEST_EXPIRY // DAY}d; without --expires it never ends"
        raise InvalidExpiryError(msg)
    return span
