"""Levels on the command line. What a script wants goes to stdout, everything else to stderr."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, TypeAdapter
from rich.console import Console
from rich.table import Table

from signalbox.auth import terminal
from signalbox.core.pagination import MAX_LIMIT
from signalbox.criticality.runtime import CHANNEL
from signalbox.criticality.schemas import LONGEST_REASON, ChangeOut, ConsumerOut, SignalOut, State
from signalbox.criticality.service import consumers
from signalbox.criticality.service.report import Outcome, Report, report
from signalbox.criticality.settings import DEFAULT_SIGNAL, CriticalitySettings
from signalbox.criticality.wire import to_message
from signalbox.infra.context import Context

R = TypeVar("R")

Opener = Callable[[], AbstractAsyncContextManager[Context]]
"""Opens the seams for the time of one command."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Signal = Annotated[str, typer.Option(help="Name of the signal.")]
Limit = Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many at most.")]


def build_commands(open_context: Opener, settings: Callable[[], CriticalitySettings]) -> typer.Typer:
    """The command group ``criticality``; expected failures are raised as SignalboxError."""
    group = typer.Typer(no_args_is_help=True, help="Levels, and who was told of them.")
    _add_lists(group, open_context)

    @group.command("set")
    def set_level(
        level: Annotated[int, typer.Argument(help="The level.", show_default=False)],
        *,
        signal: Signal = DEFAULT_SIGNAL,
        reason: Annotated[str | None, typer.Option(help="Why; consumers are told.")] = None,
    ) -> None:
        """Report a level, as of now."""

        async def work(context: Context) -> Outcome:
            now = context.clock.now()
            what = Report(signal, level, now, terminal.actor(), None if reason is None else reason[:LONGEST_REASON])

            def announce(tx: Any, current: Any) -> None:
                context.broadcast.publish(tx, CHANNEL, to_message(current))

            return await context.db.write(report, what, settings=settings(), announce=announce, now=now)

        outcome = _run(open_context, work)
        said = "is current" if outcome.why is None else f"is not current: {outcome.why}"
        Console(stderr=True, highlight=False).print(f"revision {outcome.revision} {said}")

    return group


def _add_lists(group: typer.Typer, open_context: Opener) -> None:
    @group.command("signals")
    def list_signals(*, as_json: Json = False) -> None:
        """What every signal stands at."""
        found = _run(open_context, lambda context: context.db.read(consumers.list_signals))
        _show(found, SignalOut, ("signal", "level", "revision", "changed_at", "set_by", "reason"), as_json=as_json)

    @group.command("history")
    def list_changes(*, signal: Signal = DEFAULT_SIGNAL, limit: Limit = 50, as_json: Json = False) -> None:
        """Reports of a signal, newest first."""
        page = _run(
            open_context,
            lambda context: context.db.read(consumers.list_changes, signal, cursor=None, limit=limit),
        )
        columns = ("revision", "level", "changed_at", "set_by", "accepted", "why", "reason")
        _show(page.items, ChangeOut, columns, as_json=as_json)

    @group.command("consumers")
    def list_consumers(
        *,
        state: Annotated[State | None, typer.Option(help="Only those that stand so.")] = None,
        limit: Limit = 50,
        as_json: Json = False,
    ) -> None:
        """Who asks or is expected to, newest first."""
        page = _run(
            open_context,
            lambda context: context.db.read(
                consumers.list_consumers, name=None, state=state, cursor=None, limit=limit, now=context.clock.now()
            ),
        )
        columns = ("app", "signal", "state", "interval", "last_asked_at", "revision", "acknowledged", "lag", "requests")
        _show(page.items, ConsumerOut, columns, as_json=as_json)


def _run(open_context: Opener, work: Callable[[Context], Awaitable[R]]) -> R:
    async def opened() -> R:
        async with open_context() as context:
            return await work(context)

    return asyncio.run(opened())


def _show(rows: list[Any], kind: type[BaseModel], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        typer.echo(TypeAdapter(list[kind]).dump_json(rows).decode())  # type: ignore[valid-type]
        return
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        values = [getattr(row, name) for name in columns]
        table.add_row(*("" if value is None else str(value) for value in values))
    Console(highlight=False, soft_wrap=True).print(table)
