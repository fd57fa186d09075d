"""Levels on the command line. What a script wants goes to stdout, everything else to stderr."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from signalbox.auth import terminal
from signalbox.core.pagination import MAX_LIMIT
from signalbox.core.times import parse_span
from signalbox.criticality.runtime import CHANNEL
from signalbox.criticality.schemas import (
    LONGEST_REASON,
    AppAsksOut,
    ChangeOut,
    ConsumerOut,
    NewConsumer,
    SignalOut,
    State,
    Step,
)
from signalbox.criticality.service import consumers, override, overview
from signalbox.criticality.service.report import Outcome, Report
from signalbox.criticality.settings import DEFAULT_SIGNAL, CriticalitySettings
from signalbox.criticality.wire import to_message
from signalbox.infra.context import Context

R = TypeVar("R")

Opener = Callable[[], AbstractAsyncContextManager[Context]]
"""Opens the seams for the time of one command."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Signal = Annotated[str, typer.Option(help="Name of the signal.")]
Limit = Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many at most.")]


def _check_last(text: str) -> str:
    try:
        parse_span(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


Last = Annotated[str, typer.Option(callback=_check_last, help="Period up to now, as in 6h or 7d.")]


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
        """Set a level as of now, whatever producers and rules say."""

        async def work(context: Context) -> Outcome:
            now = context.clock.now()
            what = Report(signal, level, now, terminal.actor(), None if reason is None else reason[:LONGEST_REASON])

            def announce(tx: Any, current: Any) -> None:
                context.broadcast.publish(tx, CHANNEL, to_message(current))

            return await context.db.write(override.set_level, what, settings=settings(), announce=announce, now=now)

        outcome = _run(open_context, work)
        _say(f"revision {outcome.revision} is current")

    _add_consumers(group, open_context)
    _add_overviews(group, open_context)
    return group


def _add_consumers(group: typer.Typer, open_context: Opener) -> None:
    @group.command("expect")
    def register(
        app: Annotated[str, typer.Argument(help="Name of the app.", show_default=False)],
        *,
        signal: Signal = DEFAULT_SIGNAL,
        interval: Annotated[str | None, typer.Option(help="How often it asks at least, as in 5m; none: ever.")] = None,
        muted: Annotated[bool | None, typer.Option("--mute/--unmute", help="Pass over its silence, or do not.")] = None,
    ) -> None:
        """Expect an app to ask, mute it or not; what is left out stays as it is. A retired one is back."""
        new = _new_consumer(app, signal, interval, muted=muted)
        found = _run(
            open_context,
            lambda context: context.db.write(consumers.register, new, actor=terminal.actor(), now=context.clock.now()),
        )
        _say(f"{found.app} is {found.state}, interval {found.interval or 'none'}")

    @group.command("retire")
    def retire(
        app: Annotated[str, typer.Argument(help="Name of the app.", show_default=False)],
        *,
        signal: Signal = DEFAULT_SIGNAL,
    ) -> None:
        """Expect an app no more. It may go on asking."""
        _run(
            open_context,
            lambda context: context.db.write(
                consumers.retire, app, signal, actor=terminal.actor(), now=context.clock.now()
            ),
        )
        _say(f"{app} is retired")


def _new_consumer(app: str, signal: str, interval: str | None, *, muted: bool | None) -> NewConsumer:
    try:
        return NewConsumer(app=app, signal=signal, interval=interval, muted=muted)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(first["msg"], param_hint=str(first["loc"][0])) from None


def _add_overviews(group: typer.Typer, open_context: Opener) -> None:
    @group.command("steps")
    def list_steps(
        *, signal: Signal = DEFAULT_SIGNAL, last: Last = "1d", limit: Limit = 50, as_json: Json = False
    ) -> None:
        """What a signal stood at over time, oldest first."""
        found = _run(
            open_context,
            lambda context: context.db.read(
                overview.list_steps, signal, since=_since(context, last), until=context.clock.now(), most=limit
            ),
        )
        _show(found, Step, ("at", "level", "lowest", "highest", "set_by", "reason"), as_json=as_json)

    @group.command("asks")
    def list_asks(
        *,
        signal: Annotated[str | None, typer.Option(help="Name of the signal; all of them without.")] = None,
        last: Last = "1d",
        limit: Limit = 50,
        as_json: Json = False,
    ) -> None:
        """Who asked how often, most first."""
        found = _run(
            open_context,
            lambda context: context.calls_db.read(
                overview.list_app_asks,
                name=signal,
                since=_since(context, last),
                until=context.clock.now(),
                limit=limit,
            ),
        )
        _show(found, AppAsksOut, ("app", "signal", "asks", "share"), as_json=as_json)


def _since(context: Context, last: str) -> int:
    return max(0, context.clock.now() - parse_span(last))


def _say(text: str) -> None:
    Console(stderr=True, highlight=False).print(text)


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
