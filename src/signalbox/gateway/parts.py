"""What stands between callers and each upstream: its limits, its breaker and targets, its cache."""

from collections.abc import Callable
from typing import NamedTuple

from signalbox.gateway.breaker import OnChange
from signalbox.gateway.cache import GatewayCache
from signalbox.gateway.cached import CachedDispatcher
from signalbox.gateway.dispatch import Dispatcher
from signalbox.gateway.limits import UpstreamLimits
from signalbox.gateway.report import FailureLog
from signalbox.gateway.schemas import CallRow
from signalbox.gateway.settings import GatewaySettings, UpstreamSettings
from signalbox.infra.context import Context


class Parts(NamedTuple):
    """The parts of one upstream."""

    settings: UpstreamSettings
    dispatcher: Dispatcher
    limits: UpstreamLimits | None
    cached: CachedDispatcher | None
    """In place of ``dispatcher`` where answers are cached."""


class PartsBin:
    """Makes the parts of upstreams. An upstream whose settings stay keeps its parts when others change."""

    def __init__(self, context: Context, on_change: OnChange, record: Callable[[CallRow], None]) -> None:
        self._context, self._on_change, self._record = context, on_change, record
        self._log = FailureLog(context.clock)

    def make(self, settings: GatewaySettings, before: dict[str, Parts]) -> dict[str, Parts]:
        """Parts by the name of the upstream; ``before`` are those of the settings before."""
        return {each.name: self._of(each, before.get(each.name)) for each in settings.upstreams}

    def _cached(self, settings: UpstreamSettings, dispatcher: Dispatcher) -> CachedDispatcher | None:
        if not settings.cache.enabled:
            return None
        clock = self._context.clock
        cache = GatewayCache(
            settings.cache, upstream=settings.name, urls=settings.all_urls, store=self._context.answers, clock=clock
        )
        return CachedDispatcher(cache, dispatcher, clock=clock, record=self._record)

    def _of(self, settings: UpstreamSettings, before: Parts | None) -> Parts:
        if before is not None and before.settings == settings:
            return before
        context = self._context
        dispatcher = Dispatcher(
            settings, client=context.http, clock=context.clock, log=self._log, on_change=self._on_change
        )
        limits = UpstreamLimits(settings.limits, context.limiter, settings.name) if settings.limits else None
        return Parts(settings, dispatcher, limits, self._cached(settings, dispatcher))
