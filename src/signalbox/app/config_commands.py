"""``signalbox config`` and ``signalbox db``."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

import signalbox
from signalbox.app.effective import DEFAULT, list_settings, masked
from signalbox.app.hub import upgrade_databases
from signalbox.app.invocation import Invocation
from signalbox.auth import terminal
from signalbox.core.errors import SettingsError
from signalbox.infra.context import Context
from signalbox.ops.versions import DatabaseVersion, python_version, read_database

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add(app: typer.Typer, invocation: Invocation) -> None:
    """Add the commands."""
    config = typer.Typer(help="Check and show settings.", no_args_is_help=True)
    db = typer.Typer(help="Look after the database.", no_args_is_help=True)
    app.add_typer(config, name="config")
    app.add_typer(db, name="db")
    _add_config(config, invocation)
    _add_db(db, invocation)


def _add_config(config: typer.Typer, invocation: Invocation) -> None:
    @config.command("check")
    def check(*, as_json: AsJson = False) -> None:
        """Say whether the settings are valid; every wrong one is named."""
        _check(invocation, as_json=as_json)

    @config.command("show")
    def show(
        *,
        changed: Annotated[bool, typer.Option("--set", help="Only what was set somewhere.")] = False,
        origins: Annotated[bool, typer.Option("--origins", help="JSON with a row and an origin for each.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Show the settings in force and where each was set, secrets masked."""
        settings = invocation.settings()
        shown = [each for each in list_settings(settings) if not changed or each.origin != DEFAULT]
        if origins:
            terminal.print_json([asdict(each) for each in shown])
        elif as_json:
            typer.echo(json.dumps(masked(settings)))
        else:
            for each in shown:
                typer.echo(f"{each.name} = {each.value}" + ("" if each.origin == DEFAULT else f"  # {each.origin}"))


def _add_db(db: typer.Typer, invocation: Invocation) -> None:
    @db.command("show")
    def show_versions(*, as_json: AsJson = False) -> None:
        """Show what runs here: versions of the hub, of Python, of the databases and their schemas."""

        async def work(context: Context) -> dict[str, DatabaseVersion]:
            main = await context.db.read(read_database, history="main")
            return {"main": main, "calls": await context.calls_db.read(read_database, history="calls")}

        found = terminal.run(invocation.open_context, work)
        if as_json:
            versions = {name: asdict(each) for name, each in found.items()}
            terminal.print_json({"signalbox": signalbox.__version__, "python": python_version(), **versions})
            return
        typer.echo(f"signalbox {signalbox.__version__}\n{python_version()}")
        for name, each in found.items():
            typer.echo(f"{name}: {each.name}, schema {each.revision}")

    @db.command("upgrade")
    def upgrade(*, as_json: AsJson = False) -> None:
        """Bring the database to the newest schema; `serve` does so too."""
        done = upgrade_databases(invocation.settings())
        if as_json:
            typer.echo(json.dumps({name: {"before": before, "after": after} for name, (before, after) in done.items()}))
            return
        for name, (before, after) in done.items():
            typer.echo(f"{name}: {after} (already)" if before == after else f"{name}: {before or 'empty'} -> {after}")


def _check(invocation: Invocation, *, as_json: bool) -> None:
    try:
        invocation.settings()
    except SettingsError as error:
        if as_json:
            typer.echo(json.dumps({"valid": False, "faults": [asdict(fault) for fault in error.faults]}))
        raise
    sources = invocation.sources()
    warnings = sources.strangers()
    for warning in warnings:
        Console(stderr=True).print(f"warning: {warning}", markup=False, soft_wrap=True)
    read = str(sources.file) if sources.file else "no settings file"
    typer.echo(json.dumps({"valid": True, "file": read, "warnings": warnings}) if as_json else f"valid ({read})")
