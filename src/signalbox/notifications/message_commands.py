"""``signalbox notify list``, ``show`` and ``retry``: what became of messages."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Since, to_moment
from signalbox.core.errors import InvalidError
from signalbox.core.pagination import MAX_LIMIT
from signalbox.infra.context import Context
from signalbox.notifications import listing, service
from signalbox.notifications.command_options import App, Customer
from signalbox.notifications.intake import fold_topic
from signalbox.notifications.listing import MessageFilter
from signalbox.notifications.schemas import DeliveryDetail, MessageDetail, MessageOut, Retried, RetryIn, State
from signalbox.notifications.service import Hand
from signalbox.notifications.settings import Severity
from signalbox.notifications.templates import summary

Channel = Annotated[str | None, typer.Option(help="Name of the channel.")]
OneTopic = Annotated[str | None, typer.Option("--topic", help="Topic, in whatever case.")]


class NothingChosenError(InvalidError):
    """Whoever retries many says which."""

    code = "nothing_chosen"


def add_message_commands(group: typer.Typer, open_context: terminal.Opener) -> None:
    """Add the commands to their group."""
    _add_looks(group, open_context)
    _add_retry(group, open_context)


def _add_looks(group: typer.Typer, open_context: terminal.Opener) -> None:
    @group.command("list")
    def list_messages(
        *,
        topic: OneTopic = None,
        state: Annotated[State | None, typer.Option(help="State of one of its deliveries.")] = None,
        channel: Channel = None,
        severity: Annotated[Severity | None, typer.Option(help="Severity.")] = None,
        app: App = None,
        customer: Customer = None,
        since: Since = None,
        limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT)] = 50,
        as_json: Json = False,
    ) -> None:
        """List messages, the newest first."""
        folded = None if topic is None else fold_topic(topic)
        wanted = MessageFilter(folded, state, channel, severity, app, customer, to_moment(since))

        async def work(context: Context) -> list[MessageOut]:
            return (await context.db.read(listing.list_messages, wanted, limit=limit)).items

        _show_messages(terminal.run(open_context, work), as_json=as_json)

    @group.command("show")
    def show(id_: Annotated[str, typer.Argument(metavar="ID")], *, as_json: Json = False) -> None:
        """Tell where a message is: each delivery with its attempts."""

        async def work(context: Context) -> MessageDetail:
            return await context.db.read(listing.show_message, id_)

        _show_message(terminal.run(open_context, work), as_json=as_json)


def _add_retry(group: typer.Typer, open_context: terminal.Opener) -> None:
    @group.command("retry")
    def retry(
        id_: Annotated[str | None, typer.Argument(metavar="[ID]", help="One message; without it many.")] = None,
        *,
        channel: Channel = None,
        topic: OneTopic = None,
        everything: Annotated[bool, typer.Option("--all", help="All that is dead, at most 1,000.")] = False,
        as_json: Json = False,
    ) -> None:
        """Try dead deliveries again; attempts and age begin anew."""
        if id_ is not None:
            _show_message(terminal.run(open_context, _retry_one(id_, channel)), as_json=as_json)
            return
        if channel is None and topic is None and not everything:
            msg = "name a message, --channel, --topic or --all"
            raise NothingChosenError(msg)
        wanted = RetryIn(channel=channel, topic=None if topic is None else fold_topic(topic))
        _tell_retried(terminal.run(open_context, _retry_many(wanted)), as_json=as_json)


def _retry_one(id_: str, channel: str | None) -> Callable[[Context], Awaitable[MessageDetail]]:
    async def work(context: Context) -> MessageDetail:
        hand = Hand(terminal.actor(), context.clock.now())
        return await context.db.write(service.retry_message, id_, channel=channel, hand=hand)

    return work


def _retry_many(wanted: RetryIn) -> Callable[[Context], Awaitable[Retried]]:
    async def work(context: Context) -> Retried:
        hand = Hand(terminal.actor(), context.clock.now())
        return await context.db.write(service.retry_many, wanted, hand=hand)

    return work


def _tell_retried(found: Retried, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found.model_dump(mode="json"))
    else:
        terminal.say(f"{found.retried} deliveries are tried again")


def _show_messages(found: list[MessageOut], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json([each.model_dump(mode="json") for each in found])
        return
    rows = [
        [
            f"{each.created_at:%Y-%m-%d %H:%M:%S}",
            each.id,
            each.topic,
            each.severity,
            ", ".join(f"{delivery.channel} {delivery.state}" for delivery in each.deliveries),
            summary(each.description),
        ]
        for each in found
    ]
    headings = ["time, UTC", "id", "topic", "severity", "deliveries", "description"]
    terminal.print_listing(terminal.Listing(headings, rows, "there are no such messages"))


def _show_message(found: MessageDetail, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found.model_dump(mode="json"))
        return
    rows = [row for delivery in found.deliveries for row in _rows(delivery)]
    headings = ["channel", "route", "state", "time, UTC", "attempt", "status", "why"]
    terminal.print_listing(terminal.Listing(headings, rows, "it goes to no channel"))


def _rows(of: DeliveryDetail) -> list[list[str]]:
    """A row for the delivery, and one for each of its attempts."""
    head = [of.channel, of.route, of.state, "", "", "", of.reason or ""]
    tries = [
        ["", "", "", f"{each.at:%Y-%m-%d %H:%M:%S}", each.outcome, str(each.status or ""), each.error or each.excerpt]
        for each in of.tries
    ]
    return [head, *tries]
