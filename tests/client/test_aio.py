import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from signalbox.client import AsyncClient, Change, RefusedError, UnreachableError
from signalbox.criticality.models import delivery
from tests.client.conftest import Relay
from tests.support.hub import RunningHub
from tests.support.timing import PATIENCE

NOW = datetime.now(UTC)


async def acknowledged(hub: RunningHub) -> int | None:
    wanted = sa.select(delivery.c.acknowledged).where(delivery.c.app == "shop")
    found: int | None = await hub.hub.context.db.read(lambda tx: tx.execute(wanted).scalar_one_or_none())
    return found


async def test_a_level_is_reported_and_asked_for(relay: Relay, token: str) -> None:
    async with AsyncClient(relay.url, token=token) as client:
        assert await client.ask() is None
        kept = await client.report(5, reason="smoke", changed_at=NOW)
        assert (kept.revision, kept.accepted, kept.why) == (1, True, None)
        assert kept.current == Change(5, 1, NOW, "shop", "smoke")
        assert await client.ask() == kept.current
        assert await client.ask() is None
        assert await client.ask(since=0) == kept.current
        late = await client.report(2, changed_at=NOW - timedelta(seconds=1))
        assert (late.accepted, late.why, late.current.level) == (False, "older", 5)
        assert relay.accepted == 1, "one connection serves all"


async def test_a_signal_has_changes_of_its_own(relay: Relay, token: str) -> None:
    async with (
        AsyncClient(relay.url, token=token, signal="line-3") as line,
        AsyncClient(relay.url, token=token) as all_,
    ):
        await line.report(2)
        assert await all_.ask() is None
        found = await line.ask()
        assert found is not None
        assert found.level == 2
        await line.acknowledge(found.revision)


async def test_a_callback_hears_of_what_is_and_of_what_comes(hub: RunningHub, relay: Relay, token: str) -> None:
    async with AsyncClient(relay.url, token=token) as client:
        await client.report(2, changed_at=NOW)
        heard: asyncio.Queue[int] = asyncio.Queue()
        following = asyncio.create_task(AsyncClient(relay.url, token=token).follow(lambda each: heard.put(each.level)))
        async with asyncio.timeout(PATIENCE):
            assert await heard.get() == 2
            await client.report(4, changed_at=NOW + timedelta(seconds=1))
            assert await heard.get() == 4
            while await acknowledged(hub) != 2:
                await asyncio.sleep(0.01)
        following.cancel()


async def test_a_break_loses_nothing(relay: Relay, token: str) -> None:
    async with AsyncClient(relay.url, token=token) as client:
        await client.report(2, changed_at=NOW)
        heard: asyncio.Queue[int] = asyncio.Queue()
        following = asyncio.create_task(client.follow(lambda each: heard.put_nowait(each.level)))
        async with asyncio.timeout(PATIENCE):
            assert await heard.get() == 2
            relay.cut()
            async with AsyncClient(f"http://127.0.0.1:{relay.target}", token=token) as other:
                await other.report(4, changed_at=NOW + timedelta(seconds=1))
            relay.open = True
            assert await heard.get() == 4
        following.cancel()


async def test_what_a_callback_failed_at_comes_again(relay: Relay, token: str) -> None:
    async with AsyncClient(relay.url, token=token) as client:
        await client.report(3)

        def fail(_change: Change) -> None:
            msg = "not now"
            raise ValueError(msg)

        for _ in range(2):
            with pytest.raises(ValueError, match="not now"):
                await client.follow(fail)
        assert client.revision == 0


async def test_a_refusal_ends_following(relay: Relay) -> None:
    async with AsyncClient(relay.url, token="sbx_" + "x" * 40) as client:
        with pytest.raises(RefusedError) as refused:
            await client.follow(print)
        assert (refused.value.status, refused.value.code) == (401, "invalid_token")


async def test_a_hub_that_is_away_is_unreachable(relay: Relay, token: str) -> None:
    relay.cut()
    async with AsyncClient(relay.url, token=token) as client:
        with pytest.raises(UnreachableError):
            await client.ask()


async def test_a_connection_that_the_hub_ended_is_made_anew(relay: Relay, token: str) -> None:
    async with AsyncClient(relay.url, token=token) as client:
        assert await client.ask() is None
        relay.cut()
        relay.open = True
        assert await client.ask() is None
        assert relay.accepted == 2


async def test_no_header_can_be_smuggled_in(relay: Relay) -> None:
    async with AsyncClient(relay.url, token="x\r\nY: z") as client:
        with pytest.raises(ValueError, match="line end"):
            await client.ask()
