"""``signalbox demo``: the hub, a simulated world around it, and a line that shows both alive."""

import asyncio
import contextlib
import logging
import random
import signal
import socket
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from pwdlib import PasswordHash
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from signalbox.app.demo_day import CALLS_A_SECOND, load_day
from signalbox.app.demo_grid import load_grid
from signalbox.app.demo_interviews import load_interviews
from signalbox.app.demo_settings import demo_settings
from signalbox.app.demo_story import SIGNAL, SILENT
from signalbox.app.hub import Hub, open_hub, upgrade_databases
from signalbox.app.server import listen, serve_hub
from signalbox.auth import users
from signalbox.auth.models import HashedPassword
from signalbox.auth.scopes import Role
from signalbox.auth.service import create_token
from signalbox.core.logging import LogSettings, configure_logging
from signalbox.criticality.schemas import NewConsumer
from signalbox.criticality.service import consumers
from signalbox.infra.clock import Clock
from signalbox.infra.http.pool import PooledClient
from signalbox.sandbox.consumer import consume, fall_silent
from signalbox.sandbox.errands import run_errands
from signalbox.sandbox.grid import Meter, run_meters
from signalbox.sandbox.producer import produce
from signalbox.sandbox.traffic import drive
from signalbox.sandbox.world import World, opened_world

WINDOW = 10
"""Seconds that the live line looks back."""

FAILED = 500

SILENT_AFTER = "15s"
"""How long the consumer that stops asking may be silent: it is listed within half a minute."""


def run(*, port: int, rate: float, fast_forward: bool = False, past_rate: float = CALLS_A_SECOND) -> None:
    """Run the demo until Ctrl-C; everything it writes is in a temporary folder that goes with it.

    With ``fast_forward`` it has a day behind it when it begins, of ``past_rate`` calls a second.
    """
    configure_logging(LogSettings(level="warning"))
    listener = listen("127.0.0.1", port)
    Console(stderr=True).print("Starting the hub and a world around it ...")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up then, too
    with (
        contextlib.suppress(asyncio.CancelledError),
        tempfile.TemporaryDirectory(prefix="signalbox-demo-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_run(Path(folder), listener, rate, past_rate=past_rate if fast_forward else None))
    Console(stderr=True).print("The demo has ended; nothing was left behind.")


async def _run(folder: Path, listener: socket.socket, rate: float, *, past_rate: float | None) -> None:
    _end_at_signals()
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(opened_world())
        settings = demo_settings(folder, world, listener.getsockname()[1])
        await asyncio.to_thread(upgrade_databases, settings)
        if past_rate:
            await load_day(settings, Console(), rate=past_rate)
        hub = await stack.enter_async_context(open_hub(settings))
        await _add_users(hub)
        token = await _add_token(hub)
        meters = await load_grid(hub, Console())
        board = Board(hub.context.clock)
        if not past_rate:  # else it fell silent hours ago
            await _expect_silent(hub)
        living = asyncio.create_task(
            _live(settings.port, world, token, board, rate=rate, meters=meters, falls_silent=not past_rate)
        )
        loading = asyncio.create_task(load_interviews(hub.context, board.tell))
        for task in (living, loading):
            task.add_done_callback(_report)
            stack.push_async_callback(_end, task)
        await serve_hub(hub, listener, reload=lambda: settings)


def _end_at_signals() -> None:
    """Give up what has just begun, until the server takes these signals."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def _add_users(hub: Hub) -> None:
    """user/user and manager/manager: passwords that only a demo may have."""
    roles: tuple[Role, ...] = ("user", "manager")
    for role in roles:
        hashed = HashedPassword(await asyncio.to_thread(PasswordHash.recommended().hash, role))
        at = hub.context.clock.now()
        await hub.context.db.write(users.add_user, name=role, password=hashed, role=role, actor="demo", at=at)


async def _add_token(hub: Hub) -> str:
    """What the demo's apps show."""
    at = hub.context.clock.now()
    scopes = ["tasks:write", "assistance", "criticality:read", "criticality:write", "grid:write"]
    issued = await hub.context.db.write(
        create_token, app="demo", any_app=True, scopes=scopes, expires_at=None, actor="demo", at=at
    )
    return issued.text


async def _expect_silent(hub: Hub) -> None:
    """Expect the consumer to ask that will stop."""
    new = NewConsumer(app=SILENT, signal=SIGNAL, interval=SILENT_AFTER)
    await hub.context.db.write(consumers.register, new, actor="demo", now=hub.context.clock.now())


async def _live(
    port: int,
    world: World,
    token: str,
    board: "Board",
    *,
    rate: float,
    meters: Sequence[Meter],
    falls_silent: bool,
) -> None:
    """What a company's apps want of the hub, and the screen that shows it."""
    console, url, client = Console(), f"http://127.0.0.1:{port}", PooledClient()
    console.out(welcome(url, world), highlight=False)
    reports = produce(
        url, token=token, apps=3, rate=0.1, jitter=0.5, signal=SIGNAL, on_report=_ignore, dice=random.Random(2)
    )
    asks = consume(
        url, token=token, apps=10, rate=5, jitter=0.5, signal=SIGNAL, on_answer=_ignore, dice=random.Random(3)
    )
    try:
        async with asyncio.TaskGroup() as apps:
            apps.create_task(drive(url, client=client, rate=rate, stop=asyncio.Event(), on_call=board.add))
            apps.create_task(run_errands(url, client=client, token=token, tasks=1.0, questions=0.2))
            apps.create_task(run_meters(url, client=client, token=token, found=meters, clock=board.clock))
            apps.create_task(reports)
            apps.create_task(asks)
            if falls_silent:
                apps.create_task(fall_silent(url, token=token, app=SILENT, signal=SIGNAL, asks=3, pause=2))
            apps.create_task(_show(console, board, world))
    finally:
        await client.close()


def _ignore(_app: str, _outcome: object) -> None:
    """Nobody looks at each of them."""


async def _show(console: Console, board: "Board", world: World) -> None:
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(0.5)
                live.update(Group(board.line(), told(world, board.note)), refresh=True)
    while True:
        await asyncio.sleep(WINDOW)
        console.print(Group(board.line(), told(world, board.note)))


def _report(living: asyncio.Task[None]) -> None:
    if not living.cancelled() and (error := living.exception()) is not None:
        logging.getLogger(__name__).error("the demo's traffic failed", exc_info=error)


async def _end(living: asyncio.Task[None]) -> None:
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)


class Board:
    """The last ``WINDOW`` seconds of traffic."""

    def __init__(self, clock: Clock) -> None:
        self.note = ""
        self.clock = clock
        self._started = clock.monotonic()
        self._calls: deque[tuple[float, int, float]] = deque()

    def tell(self, note: str) -> None:
        """Take what is to be shown until there is something newer."""
        self.note = note

    def add(self, status: int, seconds: float) -> None:
        """Take one finished call."""
        self._calls.append((self.clock.monotonic(), status, seconds))

    def line(self) -> Text:
        """One line for the screen."""
        now = self.clock.monotonic()
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


def told(world: World, note: str) -> Text:
    """What has arrived outside, and what is there to be searched."""
    tasks = sum(world.provider.book.submissions.values())
    text = Text(f"  {tasks} tasks at the provider   {len(world.slack.messages)} messages in the chat   ", "dim")
    text.append(f"{len(world.mail.mails)} mails   {world.receiver.ids.total()} webhooks   {note}")
    return text


def welcome(hub: str, world: World) -> str:
    """What there is to look at: one address or command a line, whole, so that it can be copied."""
    rows = {
        "Signalbox demo": "Ctrl-C ends it; nothing is left behind",
        "hub": hub,
        "console": f"{hub}/console   sign in as manager / manager, or as user / user who only reads",
        "API docs": f"{hub}/docs",
        "the team's chat": f"{world.slack_url}/inbox",
        "the team's mail": f"{world.mail_url}/inbox",
        "a call through the gateway": f"curl {hub}/categories/MLA97994",
        "newest calls": f"curl {hub}/api/statistics/",
        "how the upstream does": f"curl {hub}/api/upstreams",
        "tasks": f"curl {hub}/api/tasks",
        "who was told what": f"curl {hub}/api/notifications",
        "levels of criticality": f"curl {hub}/api/criticality/signals",
        "a power grid, reports on it": f"curl {hub}/api/reports",
        "interviews": f"curl '{hub}/api/conversations?company=kestrel&tags=pricing,hiring&detail=true'",
        "metrics": f"curl {hub}/metrics",
    }
    return "\n".join(f"{what:<29}{how}" for what, how in rows.items())
