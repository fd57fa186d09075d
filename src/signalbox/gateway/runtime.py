"""What the gateway keeps in memory while it runs."""

import asyncio
import contextlib
import logging

from signalbox.auth.runtime import AuthRuntime
from signalbox.core.asgi import ErrorResponder
from signalbox.core.beat import until_beat
from signalbox.core.proxies import TrustedProxies
from signalbox.gateway.admission import Admission
from signalbox.gateway.alarms import Alarms
from signalbox.gateway.cache import GatewayCache
from signalbox.gateway.errors import NoCacheError, UnknownUpstreamError
from signalbox.gateway.parts import Parts, PartsBin
from signalbox.gateway.proxy import Proxy, Rules
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.routing import RoutingTable
from signalbox.gateway.settings import GatewaySettings
from signalbox.gateway.vitals import INTERVAL, Figures, Vitals
from signalbox.infra.context import Context

_log = logging.getLogger(__name__)


class GatewayRuntime:
    """The proxy, the parts of its upstreams, and what there is to see of them; ``recorder`` is opened by ``app``."""

    def __init__(
        self,
        context: Context,
        settings: GatewaySettings,
        *,
        auth: AuthRuntime,
        respond: ErrorResponder,
        recorder: Recorder,
    ) -> None:
        self.context = context
        self.recorder = recorder
        self.vitals = Vitals(self.recorder.current, now=context.clock.monotonic())
        self._alarms = Alarms(context)
        self._bin = PartsBin(context, self._alarms.on_change, recorder.record)
        self.proxy = Proxy(
            clock=context.clock,
            admission=Admission(auth),
            recorder=self.recorder,
            respond=respond,
            rules=self._rules(settings, {}),
        )
        self._sampler: asyncio.Task[None] | None = None
        self._endings: set[asyncio.Task[None]] = set()
        """Caches of settings before, whose background work is being stopped."""

    @property
    def parts(self) -> dict[str, Parts]:
        """The parts of each upstream, by name."""
        return self.proxy.rules.parts

    def parts_of(self, name: str) -> Parts:
        """The parts of an upstream.

        Raises:
            UnknownUpstreamError: there is none of this name.
        """
        parts = self.parts.get(name)
        if parts is None:
            msg = f"there is no upstream {name!r}; known are: {', '.join(sorted(self.parts)) or 'none'}"
            raise UnknownUpstreamError(msg)
        return parts

    def cache_of(self, name: str) -> GatewayCache:
        """The cache of an upstream.

        Raises:
            UnknownUpstreamError: there is no upstream of this name.
            NoCacheError: its answers are not cached.
        """
        cached = self.parts_of(name).cached
        if cached is None:
            msg = f"answers of the upstream {name} are not cached; set cache.enabled to have them kept"
            raise NoCacheError(msg)
        return cached.cache

    def figures(self) -> dict[str, Figures]:
        """How each upstream did in the last minute, by name; one without calls is left out."""
        return self.vitals.figures(self.context.clock.monotonic())

    def open(self) -> None:
        """Begin to write events, and to watch clients."""
        self._alarms.open()
        self.proxy.waiting.open()
        self._sampler = asyncio.create_task(self._sample())

    async def close(self) -> None:
        """Write what is left of the events."""
        if self._sampler is not None:
            self._sampler.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sampler
        await self.proxy.waiting.close()
        for parts in self.parts.values():
            if parts.cached is not None:
                await parts.cached.cache.close()
        await asyncio.gather(*self._endings)
        await self._bin.close()
        await self._alarms.close()

    def reload(self, settings: GatewaySettings) -> None:
        """Take new settings; calls under way keep the upstream they have."""
        before = self.parts
        self.proxy.rules = self._rules(settings, before)
        for name, parts in before.items():
            if parts.cached is not None and self.parts.get(name) is not parts:
                ending = asyncio.create_task(parts.cached.cache.close())
                self._endings.add(ending)
                ending.add_done_callback(self._endings.discard)

    def _rules(self, settings: GatewaySettings, before: dict[str, Parts]) -> Rules:
        parts = self._bin.make(settings, before)
        return Rules(RoutingTable(settings), parts, TrustedProxies(settings.trusted_proxies))

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(until_beat(INTERVAL))
            try:
                self.vitals.sample(self.context.clock.monotonic())
            except Exception:  # noqa: BLE001 - one bad sample must not end all later ones
                _log.exception("how upstreams do could not be sampled")
