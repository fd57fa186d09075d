"""The command line. Exit codes: 0 done, 1 failed, 2 wrong use or settings, 3 not found, 4 conflict, 5 unavailable."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

import signalbox
from signalbox.app.groups import ENTRIES
from signalbox.app.invocation import Invocation
from signalbox.app.lazy import LazyCommand, load_from, new_app
from signalbox.core import errors

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
    app = new_app(name="signalbox", cls=_group(invocation))

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

    return app


def _group(invocation: Invocation) -> type[TyperGroup]:
    """A group of all commands, none of which is imported before it is called."""

    class Commands(TyperGroup):
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            for name, entry in ENTRIES.items():
                load = partial(load_from, partial(entry.add, invocation=invocation), name)
                self.add_command(LazyCommand(name, help_text=entry.help, load=load))

    return Commands


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
