"""The outside world of the demo: a shop, a provider of tasks, a chat, a mail server, and a receiver of webhooks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from signalbox.sandbox.inbox import InboxApp
from signalbox.sandbox.mail import MailServer
from signalbox.sandbox.provider import ProviderApp
from signalbox.sandbox.provider_book import Pace
from signalbox.sandbox.receiver import ReceiverApp
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.slack import SlackApp
from signalbox.sandbox.upstream import UpstreamApp

PROVIDER_LIMITS = ("50/30s", "1000/1d")
"""What the provider enforces; who keeps to it never hears of it."""


@dataclass(frozen=True, slots=True)
class World:
    """What stands around the hub, and where."""

    shop_url: str
    provider: ProviderApp
    provider_url: str
    slack: SlackApp
    slack_url: str
    receiver: ReceiverApp
    receiver_url: str
    mail: MailServer
    mail_url: str
    """Where people look at the mails."""


@asynccontextmanager
async def opened_world(*, pace: Pace = Pace(waiting=2, working=8, errors=0.1)) -> AsyncIterator[World]:  # noqa: B008 - frozen
    """All of it, on free ports of this machine, until the block ends. ``pace``: how the provider's tasks go."""
    provider, slack, receiver = ProviderApp(limits=PROVIDER_LIMITS, pace=pace), SlackApp(), ReceiverApp()
    async with AsyncExitStack() as stack:
        shop_url, provider_url, slack_url, receiver_url = [
            (await stack.enter_async_context(LoopbackServer(app))).url
            for app in (UpstreamApp(), provider, slack, receiver)
        ]
        mail = await stack.enter_async_context(MailServer())
        mails = await stack.enter_async_context(LoopbackServer(InboxApp("Mail", mail.entries)))
        yield World(shop_url, provider, provider_url, slack, slack_url, receiver, receiver_url, mail, mails.url)
