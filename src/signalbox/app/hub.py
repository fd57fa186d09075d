"""One process of the hub: chooses every implementation, opens it, and closes it again."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from signalbox.app import errors
from signalbox.app.api import all_doors, build_api, own_paths
from signalbox.app.doors import DoorRunner
from signalbox.app.features import Feature, FeatureFactory
from signalbox.app.front import Front, OwnPaths
from signalbox.app.settings import Settings
from signalbox.auth import routes as auth_routes
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.security import Guard
from signalbox.core.errors import Fault, SettingsError
from signalbox.core.proxies import TrustedProxies
from signalbox.core.times import parse_span
from signalbox.gateway import rollup
from signalbox.gateway import routes as gateway_routes
from signalbox.gateway import store as gateway_store
from signalbox.gateway.cache_entry import Record, RecordCodec
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.runtime import GatewayRuntime
from signalbox.infra.cache import Cache
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.clock import Clock
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.context import Context
from signalbox.infra.db import Database
from signalbox.infra.db.migrate import History, upgrade
from signalbox.infra.db.postgresql import open_postgresql, postgresql_engine
from signalbox.infra.db.sqlite import open_sqlite, sqlite_engine
from signalbox.infra.db.writer import to_unavailable
from signalbox.infra.events import delete_events
from signalbox.infra.http.pool import PooledClient
from signalbox.infra.http.recorded import RecordedClient
from signalbox.infra.limits.memory import MemoryLimiter
from signalbox.infra.telemetry import Metrics
from signalbox.ops import health
from signalbox.ops import routes as ops_routes
from signalbox.ops.retention import Sweep, Sweeper

_log = logging.getLogger(__name__)

RESTART = ("host", "port", "role", "workers", "root_path", "data_dir", "database_url", "drain_timeout", "cache")
"""Settings that a running process does not take."""

SHARE_SECONDS = 1.0
"""How old the numbers of one worker are at most, where another shows them."""


class Hub:
    """A process that serves. Made by ``open_hub``."""

    def __init__(self, settings: Settings, context: Context, extra: Sequence[FeatureFactory]) -> None:
        self.settings, self.context = settings, context
        self._started_with = settings
        self.auth = AuthRuntime(context, settings.auth)
        self.recorder = Recorder(context, enabled=settings.gateway.statistics)
        context.outbound.listen(self.recorder.record_own)
        self.gateway: GatewayRuntime | None = None
        if settings.role in ("all", "gateway"):
            self.gateway = GatewayRuntime(
                context, settings.gateway, auth=self.auth, respond=errors.respond, recorder=self.recorder
            )
        self.probe = health.ReadinessProbe(
            {"database": health.database_check(context.db)}, context.clock, tolerant=settings.role == "gateway"
        )
        self.sweeper = Sweeper(self._sweeps(), context.clock)
        self.features = self._features(Guard(self.auth), extra)
        self.front = self._front()

    async def open(self, stack: AsyncExitStack) -> None:
        """Start what runs in the background; ``stack`` ends it in reverse order."""
        stack.push_async_callback(self.auth.close)
        await self.auth.open()
        stack.push_async_callback(self.recorder.close)
        self.recorder.open()
        if self.gateway is not None:
            stack.push_async_callback(self.gateway.close)
            self.gateway.open()
        if self.settings.role in ("all", "worker"):
            stack.push_async_callback(self.sweeper.close)
            self.sweeper.open()
        if self.settings.workers > 1:
            stack.push_async_callback(_cancel, asyncio.create_task(_share(self.context.metrics)))

    def reload(self, settings: Settings) -> list[str]:
        """Take new settings while serving; returns the names of those that differ and need a restart."""
        stale = [name for name in RESTART if getattr(settings, name) != getattr(self._started_with, name)]
        stale += [f"auth.{name}" for name in self.auth.reload(settings.auth)]
        self.recorder.enabled = settings.gateway.statistics
        if self.gateway is not None:
            self.gateway.reload(settings.gateway)
        self.front.proxies = TrustedProxies(settings.gateway.trusted_proxies)
        self.settings = settings
        return stale

    def _features(self, guard: Guard, extra: Sequence[FeatureFactory]) -> list[Feature]:
        context = self.context
        features = [Feature("operation", [health.build_router(self.probe, context.metrics)])]
        if self.settings.role in ("all", "api"):
            features += [
                Feature("sign-on", [auth_routes.build_router(self.auth, guard)]),
                Feature("ops", [ops_routes.build_router(context, guard)]),
                Feature("statistics", [gateway_routes.build_router(context, guard)]),
                *(make(context, guard) for make in extra),
            ]
        if self.gateway is not None:
            features.append(Feature("gateway", [gateway_routes.build_upstream_router(self.gateway, guard)]))
        return features

    def _front(self) -> Front:
        return Front(
            api=build_api(self.features),
            own=OwnPaths(own_paths(self.features)),
            doors={
                (door.method, door.path): DoorRunner(door, self.context, self.auth) for door in all_doors(self.features)
            },
            proxy=None if self.gateway is None else self.gateway.proxy,
            respond=errors.respond,
            clock=self.context.clock,
            root_path=self.settings.root_path,
            proxies=TrustedProxies(self.settings.gateway.trusted_proxies),
        )

    def _sweeps(self) -> list[Sweep]:
        def calls(tx: Connection, now: int, limit: int) -> int:
            kept = self.settings.retention
            older_than = now - parse_span(kept.calls)
            return gateway_store.delete_calls(tx, older_than=older_than, keep=kept.call_rows, limit=limit)

        def events(tx: Connection, now: int, limit: int) -> int:
            older_than = now - parse_span(self.settings.retention.events)
            return delete_events(tx, older_than=older_than, limit=limit)

        def hours(tx: Connection, now: int, _limit: int) -> int:
            return rollup.roll_up_hours(tx, now=now, limit=1)  # thousands of rows: recorders wait meanwhile

        context = self.context
        return [
            Sweep("calls", context.calls_db, calls),
            Sweep("call_hour", context.calls_db, hours),
            Sweep("event", context.db, events),
        ]


async def _share(metrics: Metrics) -> None:
    """Keep the numbers that other workers show of this one fresh: a scraper may never reach this one itself."""
    while True:
        try:
            metrics.share()
        except OSError:
            _log.exception("the numbers of this worker cannot be shared")
        await asyncio.sleep(SHARE_SECONDS)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def open_hub(
    settings: Settings, *, metrics: Metrics | None = None, extra: Sequence[FeatureFactory] = ()
) -> AsyncIterator[Hub]:
    """A hub that serves until the block ends; then statistics are flushed and connections closed."""
    async with open_context(settings, metrics=metrics) as context, AsyncExitStack() as stack:
        hub = Hub(settings, context, extra)
        await hub.open(stack)
        yield hub


@asynccontextmanager
async def open_context(settings: Settings, *, metrics: Metrics | None = None) -> AsyncIterator[Context]:
    """The seams with their implementations; commands and servers get the world from here."""
    db, calls_db = _open_databases(settings)
    clock = SystemClock()
    http = PooledClient()
    outbound = RecordedClient(http, clock)
    answers = _open_answers(settings, clock)
    context = Context(clock, db, calls_db, http, outbound, answers, MemoryLimiter(clock), metrics or Metrics())
    try:
        yield context
    finally:
        await context.http.close()
        await context.answers.close()
        await calls_db.close()
        await db.close()


def _open_answers(settings: Settings, clock: Clock) -> Cache[Record]:
    """Where cached answers lie."""
    kept = settings.cache
    if kept.redis_url is None:
        return MemoryCache(RecordCodec(), clock=clock, max_bytes=kept.max_bytes)
    from signalbox.infra.cache.redis import RedisCache  # noqa: PLC0415 - an extra, needed by those who set it

    return RedisCache(RecordCodec(), clock=clock, url=kept.redis_url.reveal())


def upgrade_databases(settings: Settings) -> dict[History, tuple[str | None, str | None]]:
    """Bring the databases to the newest schema; the revisions before and after, by history."""
    if settings.sqlite_path is None:
        main = calls = postgresql_engine(_url(settings))
    else:
        make_folder(settings.sqlite_path)
        main, calls = sqlite_engine(settings.sqlite_path), sqlite_engine(calls_path(settings.sqlite_path))
    try:
        return {"main": upgrade(main, "main"), "calls": upgrade(calls, "calls")}
    except (OperationalError, InterfaceError) as error:
        raise to_unavailable(error) from error
    finally:
        main.dispose()
        calls.dispose()


def make_folder(file: Path) -> None:
    """The folder of the SQLite files, made where it is missing.

    Raises:
        SettingsError: it cannot be made or written to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError([Fault("data_dir", f"cannot be made: {error.strerror}", str(file.parent))]) from None
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise SettingsError([Fault("data_dir", "cannot be written to by this user", str(file.parent))])


def calls_path(main: Path) -> Path:
    """The file of statistics beside a main SQLite file."""
    return main.with_name(f"{main.stem}-calls{main.suffix}")


def _open_databases(settings: Settings) -> tuple[Database, Database]:
    if settings.sqlite_path is None:
        shared = open_postgresql(_url(settings))
        return shared, shared
    return open_sqlite(settings.sqlite_path), open_sqlite(calls_path(settings.sqlite_path), synchronous="NORMAL")


def _url(settings: Settings) -> str:
    return "" if settings.database_url is None else settings.database_url.reveal()
