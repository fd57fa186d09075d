"""What notifications keep in memory: the channels, and the routes as the settings have them."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Literal

from signalbox.core.times import MICROSECONDS, parse_span, to_datetime
from signalbox.infra.context import Context
from signalbox.infra.jobs import Kind
from signalbox.notifications import listing, service
from signalbox.notifications.channel_settings import DeliverySettings
from signalbox.notifications.channels import Equipment, Notice, build_channel
from signalbox.notifications.delivery import Deliverer, Result
from signalbox.notifications.errors import ChannelNotFoundError, HookNotFoundError
from signalbox.notifications.handover import Handover
from signalbox.notifications.intake import fold_topic, new_message_id
from signalbox.notifications.job_names import deliver_kind
from signalbox.notifications.listing import ChannelFigures
from signalbox.notifications.routing import Labels, compile_routing
from signalbox.notifications.schemas import (
    ChannelOut,
    ChannelTestOut,
    PreviewIn,
    PreviewOut,
    RouteTestIn,
    RouteTestOut,
)
from signalbox.notifications.service import Hand
from signalbox.notifications.settings import HookSettings, NotificationSettings


class NotificationRuntime:
    """Built once in a process.

    Raises:
        UnreadableSecretError: a secret of a channel is not where the settings say.
    """

    def __init__(self, context: Context, settings: NotificationSettings) -> None:
        self.context, self.settings = context, settings
        self.routing, self.handover = compile_routing(settings), Handover()
        self._hooks = {hook.name: hook for hook in settings.hooks}
        equipment = Equipment(context.outbound, allow_private_targets=settings.allow_private_targets)
        self._deliverers: Mapping[str, Deliverer] = {
            each.name: Deliverer(
                context,
                build_channel(each, equipment),
                each,
                routing=self.routing,
                handover=self.handover,
                restart_spread=parse_span(settings.restart_spread),
            )
            for each in settings.channels
            if isinstance(each, DeliverySettings)
        }

    async def open(self) -> None:
        """Channels connect when they are used."""

    async def close(self) -> None:
        """Give the connections of all channels back."""
        async with AsyncExitStack() as stack:
            for deliverer in self._deliverers.values():
                stack.push_async_callback(deliverer.channel.close)

    @property
    def channels(self) -> Mapping[str, Deliverer]:
        """The channels by their names, in the order of the settings."""
        return self._deliverers

    def channel(self, name: str) -> Deliverer:
        """One channel.

        Raises:
            ChannelNotFoundError: the settings name none like that.
        """
        found = self._deliverers.get(name)
        if found is None:
            msg = f"there is no channel {name!r}; the channels are: {', '.join(self._deliverers) or 'none'}"
            raise ChannelNotFoundError(msg)
        return found

    def hook(self, name: str) -> HookSettings:
        """One inbound hook.

        Raises:
            HookNotFoundError: the settings name none like that.
        """
        found = self._hooks.get(name)
        if found is None:
            msg = f"there is no hook {name!r}"
            raise HookNotFoundError(msg)
        return found

    def kinds(self) -> dict[str, Kind]:
        """The jobs that make deliveries: one kind for each channel."""
        return {deliver_kind(name): deliverer.to_kind() for name, deliverer in self._deliverers.items()}

    async def test(self, name: str, *, actor: str) -> tuple[str, Result]:
        """Send a test message now, once, past routes, rate and queue; its id and what came of it.

        Raises:
            ChannelNotFoundError: there is no such channel.
        """
        deliverer, now = self.channel(name), self.context.clock.now()
        id_ = new_message_id(now)
        text = f"This is a test of the channel {name}, asked for by {actor}. There is nothing to do."
        notice = Notice(id=id_, topic="test", severity="info", title=f"Test of {name}", text=text, created_at=now)
        return id_, await deliverer.send(notice)

    async def test_channel(self, name: str, *, hand: Hand) -> ChannelTestOut:
        """The same as it is told to who asked for it, and noted in the audit trail.

        Raises:
            ChannelNotFoundError: there is no such channel.
        """
        id_, result = await self.test(name, actor=hand.actor)
        made = result.to_attempt()
        sent = made.outcome == "sent"
        await self.context.db.write(service.note_test, name, id_=id_, sent=sent, hand=hand)
        seconds = made.micros / MICROSECONDS
        return ChannelTestOut(
            id=id_, sent=sent, status=made.status, excerpt=made.excerpt, error=made.error, seconds=seconds
        )

    async def enable_channel(self, name: str, *, hand: Hand) -> None:
        """Send through a channel again that was disabled or paused.

        Raises:
            ChannelNotFoundError: there is no such channel.
        """
        self.channel(name)
        await self.context.db.write(service.enable_channel, name, hand=hand)

    async def show_channels(self) -> list[ChannelOut]:
        """How each channel does, in the order of the settings."""
        figures = await self.context.db.read(listing.channel_figures, list(self._deliverers))
        now = self.context.clock.now()
        return [_to_channel_out(each, figures[name], now) for name, each in self._deliverers.items()]

    async def try_route(self, wanted: RouteTestIn) -> RouteTestOut:
        """What would become of a message that came now; nothing is written.

        Raises:
            UnknownTopicError, InvalidMessageError: it would be refused.
        """
        topic = fold_topic(wanted.topic)
        labels = Labels(topic, wanted.severity, wanted.app, wanted.customer, wanted.metadata)
        trial, now = service.Trial(labels, wanted.dedup_key), self.context.clock.now()
        return await self.context.db.read(service.test_route, trial, routing=self.routing, now=now)

    def preview(self, wanted: PreviewIn) -> PreviewOut:
        """A message as a channel's templates make it; nothing is sent. It takes up to a second, so run it in a thread.

        Raises:
            ChannelNotFoundError: there is no such channel.
            RenderError: a template failed on it.
            InvalidMessageError: the topic is none.
        """
        of, now = self.channel(wanted.channel), self.context.clock.now()
        return service.preview(of.channel, of.settings.template, wanted, topic=fold_topic(wanted.topic), now=now)


def _to_channel_out(of: Deliverer, figures: ChannelFigures, now: int) -> ChannelOut:
    paused = figures.paused_until if figures.paused_until and figures.paused_until > now else None
    state: Literal["ok", "paused", "disabled"] = (
        "disabled" if figures.disabled_reason is not None else "ok" if paused is None else "paused"
    )
    return ChannelOut(
        name=of.channel.name,
        kind=of.settings.kind,
        state=state,
        reason=figures.disabled_reason,
        paused_until=None if paused is None else to_datetime(paused),
        rate=None if of.channel.rate is None else str(of.channel.rate),
        last_success=None if figures.last_success is None else to_datetime(figures.last_success),
        backlog=figures.backlog,
        dead=figures.dead,
    )
