"""What notifications keep in memory: the channels, and the routes as the settings have them."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from signalbox.core.times import parse_span
from signalbox.infra.context import Context
from signalbox.infra.jobs import Kind
from signalbox.notifications.channel_settings import DeliverySettings
from signalbox.notifications.channels import Equipment, Notice, build_channel
from signalbox.notifications.delivery import Deliverer, Result
from signalbox.notifications.errors import ChannelNotFoundError, HookNotFoundError
from signalbox.notifications.intake import new_message_id
from signalbox.notifications.job_names import deliver_kind
from signalbox.notifications.routing import compile_routing
from signalbox.notifications.settings import HookSettings, NotificationSettings


class NotificationRuntime:
    """Built once in a process.

    Raises:
        UnreadableSecretError: a secret of a channel is not where the settings say.
    """

    def __init__(self, context: Context, settings: NotificationSettings) -> None:
        self.context, self.settings = context, settings
        self.routing = compile_routing(settings)
        self._hooks = {hook.name: hook for hook in settings.hooks}
        equipment = Equipment(context.outbound, allow_private_targets=settings.allow_private_targets)
        spread = parse_span(settings.restart_spread)
        self._deliverers: Mapping[str, Deliverer] = {
            each.name: Deliverer(context, build_channel(each, equipment), each, restart_spread=spread)
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
