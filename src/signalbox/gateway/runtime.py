"""What the gateway keeps in memory while it runs."""

from signalbox.auth.runtime import AuthRuntime
from signalbox.core.asgi import ErrorResponder
from signalbox.core.proxies import TrustedProxies
from signalbox.gateway.proxy import Proxy
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.routing import RoutingTable
from signalbox.gateway.settings import GatewaySettings
from signalbox.infra.context import Context


class GatewayRuntime:
    """The proxy and the recorder of its calls."""

    def __init__(
        self, context: Context, settings: GatewaySettings, *, auth: AuthRuntime, respond: ErrorResponder
    ) -> None:
        self.recorder = Recorder(context, enabled=settings.statistics)
        self.proxy = Proxy(
            client=context.http,
            clock=context.clock,
            auth=auth,
            recorder=self.recorder,
            respond=respond,
            table=RoutingTable(settings),
            proxies=TrustedProxies(settings.trusted_proxies),
        )

    def open(self) -> None:
        """Begin to write statistics and to watch clients."""
        self.recorder.open()
        self.proxy.waiting.open()

    async def close(self) -> None:
        """Write what is left of the statistics."""
        await self.proxy.waiting.close()
        await self.recorder.close()

    def reload(self, settings: GatewaySettings) -> None:
        """Take new settings; calls under way keep the upstream they have."""
        self.proxy.table = RoutingTable(settings)
        self.proxy.proxies = TrustedProxies(settings.trusted_proxies)
        self.recorder.enabled = settings.statistics
