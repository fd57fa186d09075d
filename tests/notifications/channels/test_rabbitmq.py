import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from signalbox.core.secrets import Secret
from signalbox.notifications.channels import Channel
from signalbox.notifications.channels.rabbitmq import RabbitmqChannel, RabbitmqSettings
from tests.support.channels import NOTICE, RabbitmqWorld, open_channel, open_desk, open_world


@pytest.fixture
async def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[RabbitmqWorld]:
    async with open_world("rabbitmq", tmp_path, caplog) as made:
        assert isinstance(made, RabbitmqWorld)
        yield made


@pytest.fixture
async def channel(world: RabbitmqWorld) -> AsyncIterator[Channel]:
    settings = world.adapt(RabbitmqChannel.example(world.url))
    async with open_desk() as desk, open_channel(settings, desk.equipment) as made:
        yield made


async def test_an_event_under_its_topic(world: RabbitmqWorld, channel: Channel) -> None:
    assert (await channel.send(NOTICE)).provider_id == "msg_0001"
    (message,) = await world.messages()
    assert json.loads(message.body)["id"] == message.message_id == "msg_0001"
    assert (message.routing_key, message.content_type) == ("sales", "application/cloudevents+json")
    assert message.delivery_mode == 2


async def test_a_routing_key_of_the_settings(world: RabbitmqWorld) -> None:
    settings = world.adapt(RabbitmqChannel.example(world.url)).model_copy(update={"routing_key": "a.b"})
    async with open_desk() as desk, open_channel(settings, desk.equipment) as channel:
        await channel.send(NOTICE)
    assert [message.routing_key for message in await world.messages()] == ["a.b"]


@pytest.mark.parametrize(
    "given",
    [{"url": "http://a"}, {"url": "amqp://"}, {"url": "amqp://a:x"}, {"exchange": ""}, {"routing_key": "a b"}],
)
def test_settings_that_do_not_fit(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        RabbitmqSettings.model_validate({"kind": "rabbitmq", "name": "r", "url": "amqp://a", **given})


async def test_the_budget_is_that_of_the_brokers_host() -> None:
    async with open_desk() as desk:
        settings = RabbitmqSettings(kind="rabbitmq", name="r", url=Secret("amqps://u:p@broker.example/v"))
        assert RabbitmqChannel(settings, desk.equipment).host == "broker.example"
