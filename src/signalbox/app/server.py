"""Runs a hub behind uvicorn: listening, draining, reloading."""

import asyncio
import contextlib
import fcntl
import functools
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import uvicorn
import uvloop

from signalbox.app.features import FeatureFactory
from signalbox.app.hub import Hub, make_folder, open_hub, upgrade_databases
from signalbox.app.protocol import HttpProtocol
from signalbox.app.settings import Settings
from signalbox.core.beat import until_beat
from signalbox.core.errors import ConflictError, Fault, SettingsError
from signalbox.core.logging import LogSettings, configure_logging
from signalbox.infra.http.corked import WriteBatch
from signalbox.infra.telemetry import Metrics

BACKLOG = 2_048

GC_THRESHOLD = 20_000
"""Objects made and not freed until the young ones are looked through; Python's default is 700."""

SWITCH_INTERVAL = 0.001
"""Seconds that a thread may keep the interpreter from another that waits for it; Python's default is 0.005. The event
loop waits for the thread that writes statistics, and the calls that are under way with it."""

TICK = 1.0
"""Seconds between two looks at clients that take too long."""

_log = logging.getLogger(__name__)

Reload = Callable[[], Settings]


class AlreadyRunningError(ConflictError):
    """Another server uses the same SQLite files."""

    code = "already_running"


class PortTakenError(ConflictError):
    """The address cannot be listened on."""

    code = "port_taken"


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which would raise the signal again after the end."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(uvicorn_config(hub))
        self._hub, self._ended = hub, asyncio.Event()

    async def main_loop(self) -> None:
        """Tick once a second until the end, which wakes it: uvicorn looks for it ten times a second."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until_beat(TICK)):
                    await self._ended.wait()

    async def on_tick(self, counter: int) -> bool:
        """End connections whose clients take too long."""
        now, settings = asyncio.get_running_loop().time(), self._hub.settings
        idle, body = settings.idle_timeout, settings.body_timeout
        for connection in list(self.server_state.connections):
            if isinstance(connection, HttpProtocol):
                connection.sweep(now=now, interval=TICK, idle_timeout=idle, body_timeout=body)
        return await super().on_tick(counter)

    def end(self, *, at_once: bool = False) -> None:
        """Take no more connections, end streams, finish the calls under way unless ``at_once``; ``serve`` returns then."""
        if not at_once:
            self._hub.context.drain.begin()
        self.force_exit = self.force_exit or at_once
        self.should_exit = True
        self._ended.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to ``serve_hub``."""
        yield


def run(
    settings: Settings,
    listener: socket.socket,
    *,
    reload: Reload,
    metrics: Metrics | None = None,
    extra: Sequence[FeatureFactory] = (),
    on_ready: Callable[[Hub], None] = lambda _hub: None,
) -> None:
    """Serve in this process until SIGTERM or SIGINT."""

    async def main() -> None:
        async with open_hub(settings, metrics=metrics, extra=extra) as hub:
            await serve_hub(hub, listener, reload=reload, on_ready=on_ready)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def serve_hub(
    hub: Hub, listener: socket.socket, *, reload: Reload, on_ready: Callable[[Hub], None] = lambda _hub: None
) -> None:
    """Serve a hub until SIGTERM or SIGINT; SIGHUP reloads settings. A second SIGINT ends at once."""
    server = _Server(hub)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, hub, server, number)
    loop.add_signal_handler(signal.SIGHUP, _reload, hub, reload)
    on_ready(hub)
    _settle_garbage_collector()
    sys.setswitchinterval(SWITCH_INTERVAL)
    await server.serve(sockets=[listener])


def _settle_garbage_collector() -> None:
    """Take what exists now out of garbage collection, and collect less often.

    Modules, schemas and routes live as long as the process; to walk through them all took 60 ms now and then, in
    which no call was served. Few of a call's own objects are in cycles, so most end without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 10)


def uvicorn_config(hub: Hub) -> uvicorn.Config:
    """How uvicorn serves a hub."""
    return uvicorn.Config(
        hub.front,
        http=cast("type[HttpProtocol]", functools.partial(HttpProtocol, writes=WriteBatch())),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=round(hub.settings.drain_timeout) or 1,
    )


def _stop(hub: Hub, server: _Server, number: signal.Signals) -> None:
    if hub.probe.draining:
        if number == signal.SIGINT:
            server.end(at_once=True)
            hub.hurry()
        return
    hub.probe.draining = True
    _log.info("draining", extra={"delay": hub.settings.drain_delay})
    asyncio.get_running_loop().call_later(hub.settings.drain_delay, server.end)


def _reload(hub: Hub, reload: Reload) -> None:
    try:
        settings = reload()
        start_logging(settings.log)
    except SettingsError as error:
        _log.error("settings not reloaded; the old ones stay", extra={"faults": [str(each) for each in error.faults]})
        return
    stale = hub.reload(settings)
    _log.info("settings reloaded", extra={"need_restart": stale})


def start_logging(settings: LogSettings) -> None:
    """Log as the settings say.

    Raises:
        SettingsError: the file cannot be written.
    """
    try:
        configure_logging(settings)
    except OSError as error:
        raise SettingsError([Fault("log.file", f"cannot be written: {error.strerror}", str(settings.file))]) from None


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        PortTakenError: another process listens there, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        msg = f"cannot listen on {host}:{port}: {reason}; choose another with --host and --port"
        raise PortTakenError(msg) from None
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


@contextmanager
def only_server(settings: Settings) -> Iterator[None]:
    """Hold the SQLite files' server lock; nothing to hold on PostgreSQL.

    Raises:
        AlreadyRunningError: another server holds it.
        SettingsError: the folder cannot be made or written to.
    """
    path = settings.sqlite_path
    if path is None:
        yield
        return
    make_folder(path)
    with _locked(path.with_suffix(".lock")):
        yield


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    try:
        file = path.open("w")
    except OSError as error:
        raise SettingsError(
            [Fault("data_dir", f"{path.name} cannot be written: {error.strerror}", str(path.parent))]
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"another server already uses {path.parent}; for several processes set database_url to PostgreSQL"
            raise AlreadyRunningError(msg) from None
        yield file


def prepare(settings: Settings) -> None:
    """Bring the databases to the newest schema before serving."""
    for history, (before, after) in upgrade_databases(settings).items():
        if before != after:
            _log.info("database upgraded", extra={"history": history, "before": before, "after": after})
