import sqlalchemy as sa

from signalbox.core.times import DAY
from signalbox.infra.db import Database
from signalbox.notifications import channel_states, store
from signalbox.notifications.intake import accept
from signalbox.notifications.models import attempt, delivery, mark, message
from signalbox.notifications.schemas import Attempt
from tests.notifications.conftest import START, message_of, routing_of


async def count(database: Database, table: sa.Table) -> int:
    return await database.read(lambda tx: int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()))


async def test_a_delivery_is_found_with_its_message(database: Database) -> None:
    await database.write(accept, message_of(metadata={"a": [1]}), routing=routing_of("chat"), now=START)
    due = await database.read(store.find_due, 1)
    assert due is not None
    assert (due.channel, due.state, due.attempts, due.since) == ("chat", "pending", 0, START)
    assert (due.message.metadata, due.message.routes) == ({"a": [1]}, ["routes[0]"])
    assert await database.read(store.find_due, 2) is None


async def test_what_stands_against_messages_is_read_once_for_a_group_of_them(database: Database) -> None:
    def group(tx: sa.Connection) -> list[int]:
        counts = []
        for change in (False, False, True, False):
            if change:
                channel_states.disable(tx, "chat", reason="gone", now=START)
            counts.append(len(store.find_obstacles(tx, now=START + 1)))
        return counts

    assert await database.write(group) == [0, 0, 1, 1]
    await database.write(channel_states.enable, "chat")
    assert await database.write(group) == [0, 0, 1, 1]  # and anew in the next transaction


async def test_old_messages_go_unless_something_of_them_waits(database: Database) -> None:
    for number in range(3):
        await database.write(accept, message_of(), routing=routing_of("chat"), now=START + number)
    tried = Attempt(START, 1, "sent", 200, "", None)
    for number in (1, 3):
        await database.write(store.insert_attempt, number, "chat", tried)
        await database.write(store.set_sent, number, provider_id="p", now=START)
    older = START + DAY
    assert await database.write(store.delete_messages, older_than=older, limit=1) == 1
    assert await database.write(store.delete_messages, older_than=older, limit=9) == 1
    assert await database.write(store.delete_messages, older_than=older, limit=9) == 0
    assert [await count(database, each) for each in (message, delivery, attempt, mark)] == [1, 1, 0, 0]


async def test_the_dead_are_revived_the_oldest_first(database: Database) -> None:
    for topic in ("a", "b", "a"):
        await database.write(accept, message_of(topic), routing=routing_of("chat", "mail"), now=START)
    for number in range(1, 7):
        await database.write(store.set_dead, number, attempts=3, reason="no", now=START)

    async def revive(
        of: int | None = None, channel: str | None = None, topic: str | None = None, limit: int = 9
    ) -> list[int]:
        found = await database.write(store.revive, of=of, channel=channel, topic=topic, limit=limit, now=START + DAY)
        return [number for number, _, _ in found]

    assert await revive(channel="mail", topic="a", limit=1) == [2]
    assert await revive(of=2) == [3, 4]
    assert await revive() == [1, 5, 6]
    due = await database.read(store.find_due, 1)
    assert due is not None
    assert (due.state, due.attempts, due.since, due.due_at) == ("pending", 0, START + DAY, START + DAY)
