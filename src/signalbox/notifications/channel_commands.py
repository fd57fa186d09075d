"""``signalbox notify channels``, ``send-test``, ``enable`` and ``preview``: how channels do."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from signalbox.auth import terminal
from signalbox.auth.terminal import Json
from signalbox.infra.context import Context
from signalbox.notifications.command_options import App, Customer, Pairs, Topic
from signalbox.notifications.runtime import NotificationRuntime
from signalbox.notifications.schemas import ChannelOut, ChannelTestOut, PreviewIn, PreviewOut
from signalbox.notifications.service import Hand
from signalbox.notifications.settings import NotificationSettings, Severity

Name = Annotated[str, typer.Argument(help="Name of the channel.")]
Reader = Callable[[], NotificationSettings]


def add_channel_commands(group: typer.Typer, open_context: terminal.Opener, read_settings: Reader) -> None:
    """Add the commands to their group."""
    _add_states(group, open_context, read_settings)
    _add_test(group, open_context, read_settings)
    _add_preview(group, open_context, read_settings)


def _add_states(group: typer.Typer, open_context: terminal.Opener, read_settings: Reader) -> None:
    @group.command("channels")
    def channels(*, as_json: Json = False) -> None:
        """List the channels: state, rate, last success, what waits and what is dead."""

        async def work(context: Context) -> list[ChannelOut]:
            async with _runtime(context, read_settings()) as runtime:
                return await runtime.show_channels()

        _show_channels(terminal.run(open_context, work), as_json=as_json)

    @group.command("enable")
    def enable(name: Name) -> None:
        """Send through a channel again that was disabled or is paused."""

        async def work(context: Context) -> None:
            async with _runtime(context, read_settings()) as runtime:
                await runtime.enable_channel(name, hand=_hand(context))

        terminal.run(open_context, work)
        terminal.say(f"the channel {name} sends again; what had died is tried again by: notify retry --channel {name}")


def _add_test(group: typer.Typer, open_context: terminal.Opener, read_settings: Reader) -> None:
    @group.command("send-test")
    def send_test(name: Name, *, as_json: Json = False) -> None:
        """Send a test message now, past routes, rate and queue; exit status 1 where it is not accepted."""

        async def work(context: Context) -> ChannelTestOut:
            async with _runtime(context, read_settings()) as runtime:
                return await runtime.test_channel(name, hand=_hand(context))

        found = terminal.run(open_context, work)
        if as_json:
            terminal.print_json(found.model_dump(mode="json"))
        else:
            outcome = "accepted" if found.sent else f"failed: {found.error}"
            terminal.say(f"{outcome} after {found.seconds:.3f} s {found.excerpt}".rstrip())
        if not found.sent:
            raise typer.Exit(1)


def _add_preview(group: typer.Typer, open_context: terminal.Opener, read_settings: Reader) -> None:
    @group.command("preview")
    def preview(
        name: Name,
        *,
        topic: Topic,
        description: Annotated[str, typer.Option(help="What people are to read.")],
        severity: Annotated[Severity, typer.Option(help="Severity.")] = "info",
        app: App = None,
        customer: Customer = None,
        metadata: Pairs = None,
        as_json: Json = False,
    ) -> None:
        """Show what the templates of a channel make of a message; nothing is sent."""
        wanted = PreviewIn(
            channel=name,
            topic=topic,
            description=description,
            severity=severity,
            app=app,
            customer=customer,
            metadata=terminal.to_pairs(metadata),
        )

        async def work(context: Context) -> PreviewOut:
            async with _runtime(context, read_settings()) as runtime:
                return runtime.preview(wanted)

        _show_preview(terminal.run(open_context, work), as_json=as_json)


@asynccontextmanager
async def _runtime(context: Context, settings: NotificationSettings) -> AsyncIterator[NotificationRuntime]:
    runtime = NotificationRuntime(context, settings)
    try:
        yield runtime
    finally:
        await runtime.close()


def _hand(context: Context) -> Hand:
    return Hand(terminal.actor(), context.clock.now())


def _show_channels(found: list[ChannelOut], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json([each.model_dump(mode="json") for each in found])
        return
    rows = [
        [
            each.name,
            each.kind,
            each.state,
            each.rate or "",
            "" if each.last_success is None else f"{each.last_success:%Y-%m-%d %H:%M:%S}",
            str(each.backlog),
            str(each.dead),
            each.reason or "",
        ]
        for each in found
    ]
    headings = ["channel", "kind", "state", "rate", "last success, UTC", "waiting", "dead", "why"]
    terminal.print_listing(terminal.Listing(headings, rows, "the settings name no channels"))


def _show_preview(found: PreviewOut, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found.model_dump(mode="json"))
        return
    rows = [["title", found.title], ["text", found.text]]
    rows += [["html", found.html]] if found.html is not None else []
    rows += [["problem", found.problem]] if found.problem is not None else []
    terminal.print_listing(terminal.Listing(["part", found.channel], rows, ""))
