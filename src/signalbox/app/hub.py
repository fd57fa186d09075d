"""One process of the hub: chooses every implementation, opens it, and closes it again."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sqlalchemy.exc import InterfaceError, OperationalError

from signalbox.app import errors
from signalbox.app.api import build_api, route
from signalbox.app.background import Background
from signalbox.app.features import (
    Feature,
    FeatureFactory,
    console,
    conversations,
    criticality,
    grid,
    notifications,
    ops,
    statistics,
    tasks,
)
from signalbox.app.front import Front
from signalbox.app.settings import Settings
from signalbox.app.upkeep import build_sweeps
from signalbox.auth import routes as auth_routes
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.security import Guard
from signalbox.core.errors import Fault, SettingsError
from signalbox.core.proxies import TrustedProxies
from signalbox.gateway import routes as gateway_routes
from signalbox.gateway.cache_entry import Record, RecordCodec
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.runtime import GatewayRuntime
from signalbox.infra.broadcast import Broadcast
from signalbox.infra.broadcast.memory import MemoryBroadcast
from signalbox.infra.cache import Cache
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.clock import Clock
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.context import Context
from signalbox.infra.db import Database, DatabaseUnavailableError
from signalbox.infra.db.migrate import History, upgrade
from signalbox.infra.db.postgresql import open_postgresql, postgresql_engine
from signalbox.infra.db.sqlite import open_sqlite, sqlite_engine
from signalbox.infra.db.writer import to_unavailable
from signalbox.infra.http.pool import PooledClient
from signalbox.infra.http.recorded import RecordedClient
from signalbox.infra.limits.budgets import Budgets
from signalbox.infra.limits.memory import MemoryLimiter
from signalbox.infra.telemetry import Metrics
from signalbox.ops import health
from signalbox.ops.sweeps import Sweeper

_log = logging.getLogger(__name__)

FEATURES: tuple[FeatureFactory, ...] = (
    ops.build,
    statistics.build,
    criticality.build,
    notifications.build,
    tasks.build,
    grid.build,
    conversations.build,
)
"""What each process but a mere gateway is made of."""

LIVE = frozenset({"idle_timeout", "body_timeout", "drain_delay", "auth", "gateway", "log", "retention"})
"""Settings that a running process takes, those of ``auth`` in part; all others need a restart."""

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
        guard = Guard(self.auth)
        self.features = [] if settings.role == "gateway" else self._build([*FEATURES, *extra], guard)
        if settings.role in ("all", "api"):
            self.features.append(self._build_console())
        self.sweeper = Sweeper(
            [
                *build_sweeps(context, lambda: self.settings.retention),
                *(sweep for feature in self.features for sweep in feature.sweeps),
            ],
            context.clock,
        )
        self.background: Background | None = None
        if settings.role in ("all", "worker"):
            self.background = Background(context, settings, self.features)
        self.served = self._served(guard)
        self.front = self._front()

    async def open(self, stack: AsyncExitStack) -> None:
        """Start what runs in the background; ``stack`` ends it in reverse order."""
        stack.push_async_callback(self.context.broadcast.close)
        await self.context.broadcast.open()
        stack.push_async_callback(self.auth.close)
        await self.auth.open()
        stack.push_async_callback(self.recorder.close)
        self.recorder.open()
        if self.gateway is not None:
            stack.push_async_callback(self.gateway.close)
            self.gateway.open()
        for runtime in (feature.runtime for feature in self.features):
            if runtime is not None:
                stack.push_async_callback(runtime.close)
                await runtime.open()
        if self.background is not None:
            stack.push_async_callback(self.sweeper.close)
            self.sweeper.open()
            stack.push_async_callback(self.background.close)
            await self.background.open()
        if self.settings.workers > 1:
            stack.push_async_callback(_cancel, asyncio.create_task(_share(self.context.metrics)))

    def hurry(self) -> None:
        """End at once: what is under way is not finished."""
        self.context.drain.begin()
        if self.background is not None:
            self.background.hurry()

    def reload(self, settings: Settings) -> list[str]:
        """Take new settings while serving; returns the names of those that differ and need a restart."""
        names = (name for name in Settings.model_fields if name not in LIVE)
        stale = [name for name in names if getattr(settings, name) != getattr(self._started_with, name)]
        stale += [f"auth.{name}" for name in self.auth.reload(settings.auth)]
        settings = self._in_force(settings)
        self.recorder.enabled = settings.gateway.statistics
        if self.gateway is not None:
            self.gateway.reload(settings.gateway)
        self.front.proxies = TrustedProxies(settings.gateway.trusted_proxies)
        for feature in self.features:
            if feature.reload is not None:
                feature.reload(settings)
        self.settings = settings
        return stale

    def _in_force(self, settings: Settings) -> Settings:
        """What of new settings holds before a restart; the rest as the process was started with it."""
        kept = {name: getattr(self._started_with, name) for name in Settings.model_fields if name not in LIVE}
        return settings.model_copy(update={**kept, "auth": self.auth.settings})

    def _build(self, factories: Sequence[FeatureFactory], guard: Guard) -> list[Feature]:
        return [build(self.context, self.settings, guard) for build in factories]

    def _build_console(self) -> Feature:
        return console.build(
            self.context, self.settings, self.features, auth=self.auth, probe=self.probe, gateway=self.gateway
        )

    def _served(self, guard: Guard) -> list[Feature]:
        """What this process answers to requests."""
        features = [Feature("operation", [health.build_router(self.probe, self.context.metrics)])]
        if self.settings.role in ("all", "api"):
            features += [Feature("sign-on", [auth_routes.build_router(self.auth, guard)]), *self.features]
        if self.gateway is not None:
            features.append(Feature("gateway", [gateway_routes.build_upstream_router(self.gateway, guard)]))
        return features

    def _front(self) -> Front:
        served = self.served
        return Front(
            api=build_api(served),
            own=route(served, self.context, self.auth),
            proxy=None if self.gateway is None else self.gateway.proxy,
            respond=errors.respond,
            clock=self.context.clock,
            root_path=self.settings.root_path,
            proxies=TrustedProxies(self.settings.gateway.trusted_proxies),
        )


async def _share(metrics: Metrics) -> None:
    """Keep the numbers that other workers show of this one fresh: a scraper may never reach this one itself."""
    while True:
        try:
            metrics.share()
        except Exception:  # noqa: BLE001 - one failure must not end the sharing for good
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
    context = Context(
        clock=clock,
        db=db,
        calls_db=calls_db,
        http=http,
        outbound=outbound,
        answers=answers,
        limiter=MemoryLimiter(clock),
        budgets=Budgets(settings.budgets, db, clock, margin=settings.budget_margin),
        metrics=metrics or Metrics(),
        broadcast=_open_broadcast(settings),
    )
    try:
        yield context
    finally:
        await context.http.close()
        await context.answers.close()
        await calls_db.close()
        await db.close()


def _open_broadcast(settings: Settings) -> Broadcast:
    """How the processes of the hub tell each other; servers open it, commands only speak."""
    if settings.sqlite_path is not None:
        return MemoryBroadcast()
    from signalbox.infra.broadcast.postgresql import PostgresqlBroadcast  # noqa: PLC0415 - its driver is an extra

    return PostgresqlBroadcast(_url(settings))


def _open_answers(settings: Settings, clock: Clock) -> Cache[Record]:
    """Where cached answers lie."""
    kept = settings.cache
    if kept.redis_url is None:
        return MemoryCache(RecordCodec(), clock=clock, max_bytes=kept.max_bytes)
    from signalbox.infra.cache.redis import RedisCache  # noqa: PLC0415 - an extra, needed by those who set it

    return RedisCache(RecordCodec(), clock=clock, url=kept.redis_url.reveal())


def upgrade_databases(settings: Settings) -> dict[History, tuple[str | None, str | None]]:
    """Bring the databases to the newest schema; the revisions before and after, by history.

    Raises:
        DatabaseUnavailableError: the database does not answer; said with what to look at.
        DatabaseDamagedError: a SQLite file is no database any more.
    """
    if settings.sqlite_path is None:
        main = calls = postgresql_engine(_url(settings))
    else:
        make_folder(settings.sqlite_path)
        main, calls = sqlite_engine(settings.sqlite_path), sqlite_engine(calls_path(settings.sqlite_path))
    try:
        return {"main": upgrade(main, "main"), "calls": upgrade(calls, "calls")}
    except (OperationalError, InterfaceError) as error:
        told = to_unavailable(error)
        if settings.sqlite_path is None and isinstance(told, DatabaseUnavailableError):
            told = DatabaseUnavailableError(f"{told}; does its server run, and is database_url right?")
        raise told from error
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
