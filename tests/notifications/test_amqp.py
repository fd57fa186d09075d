"""The link to RabbitMQ, against a real one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from signalbox.notifications.amqp import Link
from signalbox.notifications.channels import ChannelError
from tests.support.channels import NOTICE, RabbitmqWorld, open_world, silent_server


@pytest.fixture
async def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[RabbitmqWorld]:
    async with open_world("rabbitmq", tmp_path, caplog) as made:
        assert isinstance(made, RabbitmqWorld)
        yield made


@pytest.fixture
async def link(world: RabbitmqWorld) -> AsyncIterator[Link]:
    made = Link(world.url, exchange=world.exchange, timeout=10)
    yield made
    await made.close()


async def publish(link: Link) -> None:
    await link.publish(NOTICE, b"body", routing_key="a.b", content_type="text/plain")


async def failure(link: Link) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        await publish(link)
    await link.close()
    return caught.value


async def test_many_at_once_share_a_connection(world: RabbitmqWorld, link: Link) -> None:
    await asyncio.gather(*(publish(link) for _ in range(50)))
    assert len(await world.messages()) == 50


async def test_a_lost_connection_is_made_anew(world: RabbitmqWorld, link: Link) -> None:
    await publish(link)
    assert link._connection is not None
    await link._connection.close()
    await publish(link)
    assert len(await world.messages()) == 2


async def test_what_no_queue_takes_has_failed(world: RabbitmqWorld, link: Link) -> None:
    await world.unbind()
    error = await failure(link)
    assert "no queue takes the routing key a.b" in error.message
    assert not error.permanent


async def test_what_the_queue_refuses_has_failed(world: RabbitmqWorld, link: Link) -> None:
    await world.limit(1)
    await publish(link)
    error = await failure(link)
    assert (error.message, error.permanent) == ("the broker refused the message", False)


async def test_a_missing_exchange_may_come(world: RabbitmqWorld) -> None:
    error = await failure(Link(world.url, exchange="signalbox-test-missing", timeout=10))
    assert (error.message, error.permanent) == ("the broker has no exchange signalbox-test-missing", False)


async def test_a_refused_sign_on_disables_and_tells_no_password(world: RabbitmqWorld) -> None:
    url = world.url.replace("guest:guest", "guest:wr0ng-pass")
    error = await failure(Link(url, exchange=world.exchange, timeout=10))
    assert error.disable
    assert "wr0ng-pass" not in f"{error!r}{error}"


async def test_a_broker_that_says_nothing_is_left_after_the_timeout() -> None:
    async with silent_server() as place:
        error = await failure(Link(f"amqp://guest:guest@{place}/", exchange="x", timeout=0.3))
    assert (error.message, error.permanent) == ("the broker did not confirm in time", False)


async def test_closing_twice_is_harmless(link: Link) -> None:
    await link.close()
    await link.close()
