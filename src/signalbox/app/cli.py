"""The command line. Exit codes: 0 done, 1 failed, 2 wrong use or settings, 3 not found, 4 conflict, 5 unavailable."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

import signalbox
from signalbox.app import config_commands, server_commands
from signalbox.app.invocation import Invocation
from signalbox.auth import commands as auth_commands
from signalbox.conversations import commands as conversations_commands
from signalbox.core import errors
from signalbox.criticality import commands as criticality_commands
from signalbox.grid import commands as grid_commands
from signalbox.notifications import commands as notify_commands
from signalbox.ops import commands as ops_commands
from signalbox.sandbox import simulate
from signalbox.tasks import commands as tasks_commands

EXIT_CODES: tuple[tuple[type[errors.SignalboxError], int], ...] = (
    (errors.SettingsError, 2),
    (errors.InvalidError, 2),
    (errors.NotFoundError, 3),
    (errors.ConflictError, 4),
    (errors.UnavailableError, 5),
)


COMMON_OPTIONS = frozenset({"--config", "--data-dir"})


def main() -> None:
    """Run the command that the process was called with."""
    invocation = Invocation()
    try:
        build_cli(invocation)(hoist(sys.argv[1:]))
    except errors.SignalboxError as error:
        _print_error(error)
        sys.exit(next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1))


def build_cli(invocation: Invocation) -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="signalbox",
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @app.callback(invoke_without_command=True, epilog="--config and --data-dir may stand anywhere in the line.")
    def top(
        context: typer.Context,
        *,
        config: Annotated[str | None, typer.Option(help="Settings file [default: signalbox.toml if present]")] = None,
        data_dir: Annotated[str | None, typer.Option(help="Folder of the SQLite files")] = None,
        version: Annotated[bool, typer.Option("--version", help="Show the version and end.")] = False,
    ) -> None:
        """Everything between your apps, your people and other people's APIs passes here."""
        invocation.take("config", config)
        invocation.take("data_dir", data_dir)
        if version:
            typer.echo(f"signalbox {signalbox.__version__}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    server_commands.add(app, invocation)
    config_commands.add(app, invocation)
    users, tokens = auth_commands.build_commands(invocation.open_context)
    app.add_typer(users, name="users")
    app.add_typer(tokens, name="tokens")
    app.add_typer(ops_commands.build_commands(invocation.open_context), name="jobs")
    tasks = tasks_commands.build_commands(invocation.open_context, lambda: invocation.settings().tasks)
    app.add_typer(tasks, name="tasks")
    app.add_typer(
        criticality_commands.build_commands(invocation.open_context, lambda: invocation.settings().criticality),
        name="criticality",
    )
    app.add_typer(conversations_commands.build_commands(invocation.open_context), name="conversations")
    app.add_typer(grid_commands.build_commands(invocation.open_context), name="grid")
    app.add_typer(simulate.build_commands(), name="simulate")
    app.add_typer(
        notify_commands.build_commands(invocation.open_context, lambda: invocation.settings().notifications),
        name="notify",
    )
    return app


def hoist(words: Sequence[str]) -> list[str]:
    """A command line with the options that every command has (``--config X``, ``--data-dir=X``) moved to its front."""
    first: list[str] = []
    rest: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        if word == "--":
            rest += words[position:]
            break
        name, glued, _ = word.partition("=")
        taken = 1 if name not in COMMON_OPTIONS or glued else 2
        if position + taken > len(words):
            return [word]  # alone it is told that its value is missing; elsewhere it would take another word for it
        (first if name in COMMON_OPTIONS else rest).extend(words[position : position + taken])
        position += taken
    return [*first, *rest]


def _print_error(error: errors.SignalboxError) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if isinstance(error, errors.SettingsError):
        console.print("[red]error:[/red] these settings are wrong:")
        for fault in error.faults:
            console.print(f"  {fault}", markup=False)
    else:
        console.print("[red]error:[/red]", end=" ")
        console.print(str(error), markup=False)
