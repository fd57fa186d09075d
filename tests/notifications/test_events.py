import json

from sqlalchemy import select

from signalbox.infra.db import Database
from signalbox.infra.events import Event, StoredEvent, publish
from signalbox.notifications.events import accept_event, build_subscriber, describe, to_message
from signalbox.notifications.models import message
from tests.notifications.conftest import START, World, routing_of
from tests.support.timing import until

EVENT = StoredEvent(7, "task.error", "error", None, {"app": "shop", "error": "no such item", "gone": None}, START)


def test_an_event_becomes_a_message_with_its_data() -> None:
    found = to_message(EVENT)
    assert (found.topic, found.severity, found.app, found.source) == ("task.error", "error", "shop", "event:7")
    assert found.description == "task: error: no such item"
    assert found.metadata == {"app": "shop", "error": "no such item"}
    assert describe("gateway.upstream_down", {}) == "gateway: upstream down"


async def test_an_event_that_no_route_takes_makes_no_message(database: Database) -> None:
    routing = routing_of("chat", routes=[{"topic": "task.*", "channels": ["chat"]}])
    assert await database.write(accept_event, EVENT, routing=routing, now=START)
    other = StoredEvent(8, "gateway.upstream_up", "info", None, {}, START)
    assert await database.write(accept_event, other, routing=routing, now=START) is None
    topics = await database.read(lambda tx: list(tx.execute(select(message.c.topic)).scalars()))
    assert topics == ["task.error"]


def test_every_topic_is_listened_to() -> None:
    subscriber = build_subscriber(lambda: routing_of("chat"))
    assert all(subscriber.wants(topic) for topic in ("task.error", "channel.disabled", "job.dead"))


async def test_what_is_published_anywhere_reaches_its_channel(world: World) -> None:
    desk = await world.desk("chat")
    context = desk.hub.hub.context
    event = Event("task.dead", {"message": "given up", "task": 12}, severity="error")
    await context.db.write(publish, event, now=context.clock.now())
    await until(lambda: desk.receivers["chat"].count)
    assert "given up" in json.dumps(desk.receivers["chat"].received[0].json())
