"""A hub with the world of the demo around it, in a thread of its own, for tests that drive a browser."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from signalbox.app.demo_settings import demo_settings
from signalbox.app.hub import Hub, upgrade_databases
from signalbox.auth import users
from signalbox.auth.passwords import Cost, Passwords
from signalbox.auth.scopes import Role
from signalbox.sandbox.world import World, opened_world
from tests.support.hub import RunningHub, running_hub

T = TypeVar("T")

CHEAP = Cost(time_cost=1, memory_kib=8, parallelism=1)
PASSWORD = "correct horse"
ROLES: tuple[Role, ...] = ("user", "manager")
STARTS_WITHIN = 30.0


@dataclass
class ConsoleHub:
    """A hub that serves; its event loop is another thread's."""

    running: RunningHub
    world: World
    token: str
    """Of an app that may do all that apps may."""
    root: str
    """Address of the hub, root path included."""
    _loop: asyncio.AbstractEventLoop

    @property
    def hub(self) -> Hub:
        return self.running.hub

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the hub's loop: ``call(lambda: hub.context.db.read(...))``."""
        return asyncio.run_coroutine_threadsafe(make(), self._loop).result(STARTS_WITHIN)

    def now(self) -> int:
        return self.hub.context.clock.now()


@contextmanager
def console_hub(folder: Path, *, root_path: str = "") -> Iterator[ConsoleHub]:
    """A hub on SQLite with the users ``user`` and ``manager``, whose password is ``PASSWORD``, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = AsyncExitStack()
    try:
        opening = asyncio.run_coroutine_threadsafe(_open(stack, folder, root_path), loop)
        yield opening.result(STARTS_WITHIN)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(STARTS_WITHIN)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _open(stack: AsyncExitStack, folder: Path, root_path: str) -> ConsoleHub:
    world = await stack.enter_async_context(opened_world())
    settings = demo_settings(folder, world, 0).model_copy(update={"root_path": root_path})
    await asyncio.to_thread(upgrade_databases, settings)
    running = await stack.enter_async_context(running_hub(settings))
    await _add_users(running.hub)
    scopes = ["tasks:write", "assistance", "criticality:read", "criticality:write"]
    token = await running.token(*scopes, app=None, any_app=True)
    return ConsoleHub(running, world, token.text, f"{running.url}{root_path}", asyncio.get_running_loop())


async def _add_users(hub: Hub) -> None:
    passwords = Passwords(cost=CHEAP)
    for role in ROLES:
        hashed = await passwords.hash(PASSWORD)
        at = hub.context.clock.now()
        await hub.context.db.write(users.add_user, name=role, password=hashed, role=role, actor="test", at=at)
    passwords.close()
