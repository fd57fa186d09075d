import json

import pytest
from sqlalchemy import select

from signalbox.infra.db import Database
from signalbox.infra.events import Event, StoredEvent, publish
from signalbox.infra.jobs import cancel, find_jobs
from signalbox.notifications import listing, service, store
from signalbox.notifications.events import accept_event, build_subscriber, describe, end_delivery, to_message
from signalbox.notifications.intake import accept
from signalbox.notifications.models import message
from tests.notifications.conftest import START, World, message_of, routing_of
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


async def test_of_what_somebody_cancelled_nobody_is_told(database: Database) -> None:
    cancelled = StoredEvent(8, "job.cancelled", "info", None, {"kind": "tasks.poll"}, START)
    assert await database.write(accept_event, cancelled, routing=routing_of("chat"), now=START) is None


def ended(topic: str, kind: str, key: str | None) -> StoredEvent:
    return StoredEvent(1, topic, "info", None, {"kind": kind, "key": key, "error": "it ended"}, START)


@pytest.mark.parametrize("topic", ["job.dead", "job.cancelled"])
async def test_a_delivery_whose_job_has_ended_is_dead_and_can_be_tried_again(database: Database, topic: str) -> None:
    message = await database.write(accept, message_of(), routing=routing_of("chat"), now=START)
    (job,) = await database.read(find_jobs, limit=9)

    async def state() -> tuple[str, str | None]:
        (found,) = (await database.read(listing.show_message, message.id)).deliveries
        return found.state, found.reason

    await database.write(end_delivery, ended(topic, job.kind, job.key), START)
    assert await state() == ("pending", None), "its job is alive: it was made to run again"
    await database.write(cancel, job.id, now=START)
    for kind, key in (("notifications.other", job.key), (job.kind, None), (job.kind, "99")):
        await database.write(end_delivery, ended(topic, kind, key), START)
    assert await state() == ("pending", None)
    await database.write(end_delivery, ended(topic, job.kind, job.key), START)
    assert await state() == ("dead", "it ended")
    await database.write(service.retry_message, message.id, channel=None, hand=service.Hand("user:ann", START))
    assert await state() == ("pending", None)


async def test_what_was_sent_stays_sent(database: Database) -> None:
    await database.write(accept, message_of(), routing=routing_of("chat"), now=START)
    (job,) = await database.read(find_jobs, limit=9)
    await database.write(cancel, job.id, now=START)
    await database.write(store.set_sent, 1, provider_id=None, now=START)
    await database.write(end_delivery, ended("job.cancelled", job.kind, job.key), START)
    found = await database.read(store.find_due, 1)
    assert found is not None
    assert found.state == "sent"


async def test_a_delivery_that_somebody_cancels_ends(world: World) -> None:
    group = {"by": ["topic"], "wait": "1h", "interval": "1h"}
    desk = await world.desk("chat", routes=[{"topic": "*", "channels": ["chat"], "group": group}])
    id_ = (await desk.ask())["id"]
    context = desk.hub.hub.context
    (job,) = [each for each in await context.db.read(find_jobs, limit=9) if each.kind.endswith(".chat")]
    await context.db.write(cancel, job.id, now=context.clock.now())
    (found,) = (await desk.delivered(id_, "dead"))["deliveries"]
    assert found["reason"] == "its job was cancelled"


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
