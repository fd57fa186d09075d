"""``signalbox notify``: messages, channels, where a message would go, and silences."""

import json
from collections.abc import Callable
from typing import Annotated

import typer

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Opener, run
from signalbox.core.times import parse_span, to_datetime
from signalbox.infra.context import Context
from signalbox.notifications import service, silences
from signalbox.notifications.channel_commands import add_channel_commands
from signalbox.notifications.command_options import App, Customer, Pairs, Topic
from signalbox.notifications.intake import fold_topic
from signalbox.notifications.message_commands import add_message_commands
from signalbox.notifications.routing import Labels, compile_routing
from signalbox.notifications.schemas import RouteTestOut, SilenceIn, SilenceOut
from signalbox.notifications.settings import MatcherSettings, NotificationSettings, Severity


def build_commands(open_context: Opener, read_settings: Callable[[], NotificationSettings]) -> typer.Typer:
    """The command group ``notify``; expected failures are raised as SignalboxError."""
    group = typer.Typer(no_args_is_help=True, help="Messages, channels, routes; silence messages for a time.")
    add_message_commands(group, open_context)
    add_channel_commands(group, open_context, read_settings)
    _add_test(group, open_context, read_settings)
    _add_silences(group, open_context)
    return group


def _add_test(group: typer.Typer, open_context: Opener, read_settings: Callable[[], NotificationSettings]) -> None:
    @group.command("test")
    def test(
        topic: Topic,
        *,
        severity: Annotated[Severity, typer.Option(help="Severity.")] = "info",
        app: App = None,
        customer: Customer = None,
        metadata: Pairs = None,
        dedup_key: Annotated[str | None, typer.Option(help="What repetitions of it would have too.")] = None,
        as_json: Json = False,
    ) -> None:
        """Show where a message would go, and what would keep it from there now; nothing is sent."""
        labels = Labels(fold_topic(topic), severity, app, customer, terminal.to_pairs(metadata))
        trial = service.Trial(labels, dedup_key)
        routing = compile_routing(read_settings())

        async def work(context: Context) -> RouteTestOut:
            return await context.db.read(service.test_route, trial, routing=routing, now=context.clock.now())

        _show_way(run(open_context, work), as_json=as_json)


def _show_way(found: RouteTestOut, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found.model_dump(mode="json"))
        return
    rows = [[way.channel, way.route, way.outcome, way.reason or ""] for way in found.ways]
    terminal.print_listing(terminal.Listing(["channel", "route", "outcome", "why"], rows, "no channel takes it"))


def _add_silences(group: typer.Typer, open_context: Opener) -> None:
    @group.command("silence")
    def silence(
        reason: Annotated[str, typer.Option(help="Why; everybody sees it.")],
        *,
        lasts: Annotated[str, typer.Option("--for", help="How long, such as 2h.")],
        topic: Annotated[list[str] | None, typer.Option(help="Topic; * stands for anything; may be repeated.")] = None,
        severity: Annotated[Severity, typer.Option(help="The lowest severity that is meant.")] = "info",
        app: App = None,
        metadata: Pairs = None,
        as_json: Json = False,
    ) -> None:
        """Keep messages that fit from being told, from now on."""
        matcher = MatcherSettings(
            topic=topic or ["*"], severity=severity, app=app, metadata=terminal.to_pairs(metadata)
        )

        async def work(context: Context) -> SilenceOut:
            now = context.clock.now()
            wanted = SilenceIn(matcher=matcher, ends_at=to_datetime(now + parse_span(lasts)), reason=reason)
            return await context.db.write(silences.add_silence, wanted, author=terminal.actor(), now=now)

        _tell(run(open_context, work), "is in force", as_json=as_json)

    @group.command("unsilence")
    def unsilence(
        number: Annotated[int, typer.Argument(help="Number of the silence.")], *, as_json: Json = False
    ) -> None:
        """End a silence now."""

        async def work(context: Context) -> SilenceOut:
            now = context.clock.now()
            return await context.db.write(silences.end_silence, number, actor=terminal.actor(), now=now)

        _tell(run(open_context, work), "has ended", as_json=as_json)

    @group.command("silences")
    def list_silences(
        *,
        ended: Annotated[bool, typer.Option("--all", help="Show those that have ended too.")] = False,
        as_json: Json = False,
    ) -> None:
        """List silences, the newest first, at most 500."""

        async def work(context: Context) -> list[SilenceOut]:
            now = context.clock.now()
            return (await context.db.read(silences.list_silences, active=not ended, now=now, limit=500)).items

        _show_silences(run(open_context, work), as_json=as_json)


def _show_silences(found: list[SilenceOut], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json([each.model_dump(mode="json") for each in found])
        return
    rows = [
        [str(each.id), _spell(each), f"{each.ends_at:%Y-%m-%d %H:%M} UTC", each.author, each.reason] for each in found
    ]
    headings = ["id", "matches", "until", "by", "reason"]
    terminal.print_listing(terminal.Listing(headings, rows, "there are no silences; add one with notify silence"))


def _spell(of: SilenceOut) -> str:
    """A matcher in a line: what it asks for beyond the defaults."""
    asked = of.matcher.model_dump(mode="json", exclude_defaults=True)
    return " ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in asked.items())


def _tell(of: SilenceOut, what: str, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(of.model_dump(mode="json"))
    else:
        terminal.say(f"silence {of.id} {what}; it ends {of.ends_at:%Y-%m-%d %H:%M} UTC")
