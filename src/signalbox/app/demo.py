"""``signalbox demo``: the hub, a simulated world around it, and a line that shows both alive."""

import asyncio
import contextlib
import logging
import signal
import socket
import tempfile
from collections import deque
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from pwdlib import PasswordHash
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from signalbox.app.hub import Hub, open_hub, upgrade_databases
from signalbox.app.load import Sources, load
from signalbox.app.server import listen, serve_hub
from signalbox.app.settings import Settings
from signalbox.auth import users
from signalbox.auth.models import HashedPassword
from signalbox.auth.scopes import Role
from signalbox.core.logging import LogSettings, configure_logging
from signalbox.infra.clock import Clock
from signalbox.infra.http.pool import PooledClient
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.traffic import drive
from signalbox.sandbox.upstream import UpstreamApp

WINDOW = 10
"""Seconds that the live line looks back."""

FAILED = 500

READS = ["gateway", "statistics:read", "tasks:read", "grid:read", "criticality:read", "conversations:read", "jobs:read"]

_ROUTES = ["/categories/{id}", "/items/{id}", "/items", "/users/{id}", "/search", "/orders"]


def run(*, port: int, rate: float) -> None:
    """Run the demo until Ctrl-C; everything it writes is in a temporary folder that goes with it."""
    configure_logging(LogSettings(level="warning"))
    listener = listen("127.0.0.1", port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up then, too
    with (
        contextlib.suppress(asyncio.CancelledError),
        tempfile.TemporaryDirectory(prefix="signalbox-demo-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_run(Path(folder), listener, rate))
    Console(stderr=True).print("The demo has ended; nothing was left behind.")


async def _run(folder: Path, listener: socket.socket, rate: float) -> None:
    _end_at_signals()
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(LoopbackServer(UpstreamApp()))
        settings = _settings(folder, shop.url, listener.getsockname()[1])
        await asyncio.to_thread(upgrade_databases, settings)
        hub = await stack.enter_async_context(open_hub(settings))
        await _add_users(hub)
        board = Board(hub.context.clock)
        living = asyncio.create_task(_live(settings.port, shop.url, board, rate))
        stack.push_async_callback(_end, living)
        await serve_hub(hub, listener, reload=lambda: settings)


def _end_at_signals() -> None:
    """Give up what has just begun, until the server takes these signals."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _settings(folder: Path, shop: str, port: int) -> Settings:
    """The demo's own settings; environment and files of the user have no part in it."""
    upstream = {
        "name": "shop",
        "url": shop,
        "prefix": "/",
        "routes": _ROUTES,
        "read_timeout": 10,
        "limits": [{"by": "ip", "rate": "6000/1m"}, {"by": "path", "pattern": "/categories/*", "rate": "10000/1m"}],
        "cache": {"enabled": True},
    }
    flags = {
        "port": port,
        "data_dir": folder,
        "auth": {"anonymous_scopes": [*READS, "tasks:write"]},
        "gateway": {"default": "shop", "upstreams": [upstream]},
        "log": {"level": "warning"},
        "drain_timeout": 3,
    }
    return load(flags, Sources())


async def _add_users(hub: Hub) -> None:
    """user/user and manager/manager: passwords that only a demo may have."""
    roles: tuple[Role, ...] = ("user", "manager")
    for role in roles:
        hashed = HashedPassword(await asyncio.to_thread(PasswordHash.recommended().hash, role))
        at = hub.context.clock.now()
        await hub.context.db.write(users.add_user, name=role, password=hashed, role=role, actor="demo", at=at)


async def _live(port: int, shop: str, board: "Board", rate: float) -> None:
    """Traffic, and the screen that shows it."""
    console = Console()
    console.print(_welcome(f"http://127.0.0.1:{port}", shop))
    stop = asyncio.Event()
    client = PooledClient()
    traffic = asyncio.create_task(
        drive(f"http://127.0.0.1:{port}", client=client, rate=rate, stop=stop, on_call=board.add)
    )
    try:
        if console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                while True:
                    await asyncio.sleep(0.5)
                    live.update(board.line(), refresh=True)
        while True:
            await asyncio.sleep(WINDOW)
            console.print(board.line())
    finally:
        stop.set()
        traffic.cancel()
        await asyncio.gather(traffic, return_exceptions=True)
        await client.close()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    for result in await asyncio.gather(task, return_exceptions=True):
        if isinstance(result, Exception):
            logging.getLogger(__name__).error("the demo's traffic failed", exc_info=result)


class Board:
    """The last ``WINDOW`` seconds of traffic."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._calls: deque[tuple[float, int, float]] = deque()

    def add(self, status: int, seconds: float) -> None:
        """Take one finished call."""
        self._calls.append((self._clock.monotonic(), status, seconds))

    def line(self) -> Text:
        """One line for the screen."""
        now = self._clock.monotonic()
        while self._calls and self._calls[0][0] < now - WINDOW:
            self._calls.popleft()
        seconds = sorted(each[2] for each in self._calls)
        if not seconds:
            return Text("waiting for traffic ...", style="dim")
        failed = sum(1 for each in self._calls if each[1] >= FAILED or each[1] == 0)
        rate = len(seconds) / max(1.0, min(WINDOW, now - self._started))
        p50, p95 = (seconds[int(len(seconds) * share)] * 1000 for share in (0.5, 0.95))
        text = Text("● ", style="green" if failed * 20 < len(seconds) else "yellow")
        text.append(f"{rate:5.1f} calls/s   p50 {p50:4.0f} ms   p95 {p95:4.0f} ms   ", "bold")
        text.append(f"{100 * failed / len(seconds):.1f} % failed   (last {WINDOW} s)", "bold")
        return text


def _welcome(hub: str, shop: str) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]Signalbox demo[/bold]", "Ctrl-C ends it; nothing is left behind")
    table.add_row("hub", hub)
    table.add_row("API docs", f"{hub}/docs")
    table.add_row("a call through the gateway", f"curl {hub}/categories/MLA97994")
    table.add_row("newest calls", f"curl {hub}/api/statistics/")
    table.add_row("what they add up to", f"curl {hub}/api/statistics/summary")
    table.add_row("how the upstream does", f"curl {hub}/api/upstreams")
    table.add_row("metrics", f"curl {hub}/metrics")
    table.add_row("logins", "user / user (reads)   manager / manager (everything)")
    table.add_row("simulated shop behind it", shop)
    return table
