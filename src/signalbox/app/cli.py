"""The command line. Exit codes: 0 done, 1 failed, 2 wrong use or settings, 3 not found, 4 conflict, 5 unavailable."""

import sys
from typing import Annotated

import click
import typer
from rich.console import Console
from typer.core import TyperOption

import signalbox
from signalbox.app import config_commands, server_commands
from signalbox.app.invocation import Invocation
from signalbox.auth import commands as auth_commands
from signalbox.core import errors

EXIT_CODES: tuple[tuple[type[errors.SignalboxError], int], ...] = (
    (errors.SettingsError, 2),
    (errors.InvalidError, 2),
    (errors.NotFoundError, 3),
    (errors.ConflictError, 4),
    (errors.UnavailableError, 5),
)


def main() -> None:
    """Run the command that the process was called with."""
    try:
        build_cli(Invocation())()
    except errors.SignalboxError as error:
        _print_error(error)
        sys.exit(next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1))


def build_cli(invocation: Invocation) -> click.Command:
    """All commands; each takes ``--config`` and ``--data-dir``."""
    app = typer.Typer(
        name="signalbox",
        help="Everything between your apps, your people and other people's APIs passes here.",
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def top(
        *,
        version: Annotated[bool, typer.Option("--version", help="Show the version and end.", is_eager=True)] = False,
    ) -> None:
        """Everything between your apps, your people and other people's APIs passes here."""
        if version:
            typer.echo(f"signalbox {signalbox.__version__}")
            raise typer.Exit

    server_commands.add(app, invocation)
    config_commands.add(app, invocation)
    auth_commands.add(app, invocation.open_context)
    command = typer.main.get_command(app)
    _add_common_options(command, invocation)
    return command


def _add_common_options(command: click.Command, invocation: Invocation) -> None:
    """Give every command the options that say where settings and data are."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _add_common_options(inner, invocation)
        return

    def take(_context: click.Context, option: click.Parameter, value: str | None) -> None:
        if value is not None:
            invocation.take(str(option.name), value)

    texts = {"config": "Settings file (TOML).", "data_dir": "Folder of the SQLite files."}
    for name, text in texts.items():
        flag = "--" + name.replace("_", "-")
        option = TyperOption(param_decls=[flag], type=str, help=text, expose_value=False, callback=take, is_eager=True)
        command.params.append(option)


def _print_error(error: errors.SignalboxError) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if isinstance(error, errors.SettingsError):
        console.print("[red]error:[/red] these settings are wrong:")
        for fault in error.faults:
            console.print(f"  {fault}", markup=False)
    else:
        console.print("[red]error:[/red]", end=" ")
        console.print(str(error), markup=False)
