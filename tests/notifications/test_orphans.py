from signalbox.infra.db import Database
from signalbox.infra.jobs import find_jobs
from signalbox.notifications import store
from signalbox.notifications.intake import accept
from signalbox.notifications.orphans import PATIENCE, end_orphans
from signalbox.notifications.schemas import RetryIn
from signalbox.notifications.service import Hand, retry_many
from tests.notifications.conftest import START, message_of, routing_of

LATER = START + PATIENCE + 1


async def states(database: Database, count: int) -> list[tuple[str, str]]:
    found = [await database.read(store.find_due, number) for number in range(1, count + 1)]
    return [(each.channel, each.state) for each in found if each is not None]


async def test_what_waits_for_a_channel_that_is_no_more_is_given_up(database: Database) -> None:
    routing = routing_of("chat", "gone", "mail")
    for _ in range(2):
        await database.write(accept, message_of(), routing=routing, now=START)
    known = ["chat", "mail"]
    assert await database.write(end_orphans, known, now=START + PATIENCE, limit=9) == 0
    assert await database.write(end_orphans, known, now=LATER, limit=1) == 1
    assert await database.write(end_orphans, known, now=LATER, limit=9) == 1
    assert await database.write(end_orphans, known, now=LATER, limit=9) == 0
    one = [("chat", "pending"), ("gone", "dead"), ("mail", "pending")]
    assert await states(database, 6) == one * 2


async def test_what_was_given_up_can_be_tried_again(database: Database) -> None:
    await database.write(accept, message_of(), routing=routing_of("gone"), now=START)
    await database.write(end_orphans, [], now=LATER, limit=9)
    assert (await database.write(retry_many, RetryIn(channel="gone"), hand=Hand("user:ann", LATER))).retried == 1
    assert await states(database, 1) == [("gone", "pending")]
    assert [job.state for job in await database.read(find_jobs, limit=9)] == ["waiting"]
    assert await database.write(end_orphans, [], now=LATER, limit=9) == 0
