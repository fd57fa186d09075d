"""The commands by name, each imported when it is called: all features together take seconds."""

# ruff: noqa: PLC0415 - that imports stand in functions is what this file is for

from typing import NamedTuple, Protocol

import typer

from signalbox.app.invocation import Invocation


class Add(Protocol):
    """Adds commands or groups of commands, under their names."""

    def __call__(self, app: typer.Typer, /, invocation: Invocation) -> None:
        """Import and add them."""
        ...


def _serving(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.app import server_commands

    server_commands.add(app, invocation)


def _settings(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.app import config_commands

    config_commands.add(app, invocation)


def _sign_on(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.auth import commands

    users, tokens = commands.build_commands(invocation.open_context)
    app.add_typer(users, name="users")
    app.add_typer(tokens, name="tokens")


def _jobs(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.ops import commands

    app.add_typer(commands.build_commands(invocation.open_context), name="jobs")


def _tasks(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.tasks import commands

    group = commands.build_commands(invocation.open_context, lambda: invocation.settings().tasks)
    app.add_typer(group, name="tasks")


def _criticality(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.criticality import commands

    group = commands.build_commands(invocation.open_context, lambda: invocation.settings().criticality)
    app.add_typer(group, name="criticality")


def _conversations(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.conversations import commands

    app.add_typer(commands.build_commands(invocation.open_context), name="conversations")


def _grid(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.grid import commands

    app.add_typer(commands.build_commands(invocation.open_context, lambda: invocation.settings().grid), name="grid")


def _simulate(app: typer.Typer, invocation: Invocation) -> None:  # noqa: ARG001 - one form for all
    from signalbox.sandbox import simulate

    app.add_typer(simulate.build_commands(), name="simulate")


def _notify(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.notifications import commands

    group = commands.build_commands(invocation.open_context, lambda: invocation.settings().notifications)
    app.add_typer(group, name="notify")


def _calls(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.gateway import call_commands

    app.add_typer(call_commands.build_commands(invocation.open_context), name="calls")


def _audit(app: typer.Typer, invocation: Invocation) -> None:
    from signalbox.ops import audit_commands

    app.add_typer(audit_commands.build_commands(invocation.open_context), name="audit")


def _upstreams(app: typer.Typer, invocation: Invocation) -> None:  # noqa: ARG001 - one form for all
    from signalbox.gateway import commands

    app.add_typer(commands.build_commands(), name="upstreams")


class Entry(NamedTuple):
    """A command or group that is not imported yet."""

    help: str
    """As the command itself says, for the list of all."""
    add: Add


ENTRIES: dict[str, Entry] = {
    "serve": Entry("Run the hub until Ctrl-C or SIGTERM; SIGHUP reloads settings.", _serving),
    "demo": Entry("Run the hub with a simulated third-party API and live traffic; leaves nothing behind.", _serving),
    "config": Entry("Check and show settings.", _settings),
    "db": Entry("Look after the database.", _settings),
    "users": Entry("People who sign on with a name and a password.", _sign_on),
    "tokens": Entry("Tokens with which apps sign on.", _sign_on),
    "jobs": Entry("Work that the hub does in the background.", _jobs),
    "upstreams": Entry("The upstreams of a running hub.", _upstreams),
    "calls": Entry("Calls through the gateway: which there were, and how they did.", _calls),
    "tasks": Entry("Tasks that are submitted to third-party APIs and polled.", _tasks),
    "criticality": Entry("Levels, and who was told of them.", _criticality),
    "conversations": Entry("Data sets of interview transcripts.", _conversations),
    "grid": Entry("A power grid: components, measurements, rules and reports.", _grid),
    "simulate": Entry("Simulated apps against a hub, for demos and load.", _simulate),
    "notify": Entry("Messages, channels, routes; silence messages for a time.", _notify),
    "audit": Entry("The trail of every change that somebody made.", _audit),
}
"""In the order in which they are listed."""
