import asyncio
import queue
import threading
from datetime import UTC, datetime, timedelta

import pytest

from signalbox.client import Change, Client, RefusedError, UnreachableError
from tests.client.conftest import Relay
from tests.support.timing import PATIENCE

NOW = datetime.now(UTC)


async def test_a_level_is_reported_and_asked_for(relay: Relay, token: str) -> None:
    def work() -> None:
        with Client(relay.url, token=token) as client:
            assert client.ask() is None
            kept = client.report(5, reason="smoke", changed_at=NOW)
            assert kept.current == Change(5, 1, NOW, "shop", "smoke")
            assert client.ask() == kept.current
            assert client.ask() is None
            client.acknowledge(kept.revision)

    await asyncio.to_thread(work)
    assert relay.accepted == 1, "one connection serves all"


async def test_a_callback_hears_of_all_though_the_network_breaks(relay: Relay, token: str) -> None:
    heard: queue.SimpleQueue[int] = queue.SimpleQueue()
    follower = Client(relay.url, token=token)
    thread = threading.Thread(target=follower.follow, args=(lambda change: heard.put(change.level),))

    def report(level: int, seconds: int) -> None:
        with Client(f"http://127.0.0.1:{relay.target}", token=token) as client:
            client.report(level, changed_at=NOW + timedelta(seconds=seconds))

    await asyncio.to_thread(report, 2, 0)
    thread.start()
    assert await asyncio.to_thread(heard.get, timeout=PATIENCE) == 2
    relay.cut()
    await asyncio.to_thread(report, 4, 1)
    relay.open = True
    assert await asyncio.to_thread(heard.get, timeout=PATIENCE) == 4
    follower.close()
    relay.cut()
    await asyncio.to_thread(thread.join, PATIENCE)
    assert not thread.is_alive()


async def test_what_a_callback_failed_at_comes_again(relay: Relay, token: str) -> None:
    def work() -> None:
        with Client(relay.url, token=token) as client:
            client.report(3)
            for _ in range(2):
                with pytest.raises(ZeroDivisionError):
                    client.follow(lambda change: change.level / 0)

    await asyncio.to_thread(work)


async def test_refusals_and_silence_are_told_apart(relay: Relay, token: str) -> None:
    def refused() -> RefusedError:
        with Client(relay.url, token=token) as client, pytest.raises(RefusedError) as error:
            client.report(9)
        return error.value

    error = await asyncio.to_thread(refused)
    assert (error.status, error.code) == (422, "wrong_level")
    relay.cut()

    def unreachable() -> None:
        with Client(relay.url, token=token) as client, pytest.raises(UnreachableError):
            client.ask()

    await asyncio.to_thread(unreachable)
