"""What stands between callers and each upstream: its limits, its breaker and targets, its cache."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from signalbox.gateway.breaker import OnChange
from signalbox.gateway.budgeted import BudgetedClient
from signalbox.gateway.cache import GatewayCache
from signalbox.gateway.cached import CachedDispatcher
from signalbox.gateway.dispatch import Dispatcher
from signalbox.gateway.limits import UpstreamLimits
from signalbox.gateway.permits import HostPermits
from signalbox.gateway.report import FailureLog
from signalbox.gateway.schemas import CallRow
from signalbox.gateway.settings import GatewaySettings, UpstreamSettings
from signalbox.infra.context import Context
from signalbox.infra.http import HttpClient, parse_origin
from signalbox.infra.limits.settings import host_and_port


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
        self._permits: dict[str, HostPermits] = {}
        """By host, of those that have a budget."""

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

    async def close(self) -> None:
        """End what runs in the background for hosts with a budget."""
        await asyncio.gather(*(each.close() for each in self._permits.values()))

    def _client(self, settings: UpstreamSettings) -> HttpClient:
        """What sends the calls of an upstream: the client itself, unless the host of one of its servers has a budget."""
        context = self._context
        permits = {}
        for origin, _ in map(parse_origin, settings.all_urls):
            host = context.budgets.name_of(host_and_port(origin.host, origin.port))
            if host is not None:
                permits[origin.key] = self._permits_of(host)
        return BudgetedClient(context.http, permits, context.clock) if permits else context.http

    def _permits_of(self, host: str) -> HostPermits:
        found = self._permits.get(host)
        if found is None:
            context = self._context
            found = self._permits[host] = HostPermits(host, context.budgets, db=context.db, clock=context.clock)
        return found

    def _of(self, settings: UpstreamSettings, before: Parts | None) -> Parts:
        if before is not None and before.settings == settings:
            return before
        context = self._context
        dispatcher = Dispatcher(
            settings, client=self._client(settings), clock=context.clock, log=self._log, on_change=self._on_change
        )
        limits = UpstreamLimits(settings.limits, context.limiter, settings.name) if settings.limits else None
        return Parts(settings, dispatcher, limits, self._cached(settings, dispatcher))
