"""What every database's outbox of events holds to."""

import asyncio
import random

import pytest
import sqlalchemy as sa

from signalbox.core.errors import ConflictError
from signalbox.infra.db import Database
from signalbox.infra.events import Event, StoredEvent, delete_events, find_events, publish, take_new
from tests.support.databases import Place

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

START = 1_767_225_600_000_000

AWKWARD: dict[str, object] = {
    "none": None,
    "text": "é\0\ud800'\"\\",
    "number": 2**53 + 1,
    "real": 0.1,
    "list": [{"deep": [True]}],
    "": {},
}


async def put(database: Database, topic: str = "gateway.upstream_down", now: int = START, **more: object) -> int:
    found = await database.write(publish, Event(topic, more), now=now)
    assert found is not None
    return found


async def ids(database: Database, topic: str | None = None, before: int | None = None, limit: int = 500) -> list[int]:
    return [each.id for each in await database.read(find_events, topic=topic, before=before, limit=limit)]


async def take(database: Database, limit: int = 500) -> list[int]:
    return [each.id for each in await database.write(take_new, now=START, limit=limit)]


async def test_an_event_comes_back_as_it_was(database: Database) -> None:
    event = Event("gateway.upstream_down", AWKWARD, severity="error", dedup_key="shop/1é")
    number = await database.write(publish, event, now=START)
    assert number is not None
    stored = StoredEvent(number, event.topic, "error", "shop/1é", AWKWARD, START)
    assert await database.read(find_events, limit=10) == [stored]
    assert await database.write(take_new, now=START, limit=10) == [stored]


async def test_an_event_is_there_exactly_when_its_change_is(database: Database) -> None:
    def refuse(tx: sa.Connection) -> None:
        publish(tx, Event("a.b", {}), now=START)
        msg = "not now"
        raise ConflictError(msg)

    with pytest.raises(ConflictError):
        await database.write(refuse)
    assert await ids(database) == []


async def test_of_events_with_one_key_the_first_is_kept(database: Database) -> None:
    first = await database.write(publish, Event("a.b", {"n": 1}, dedup_key="k"), now=START)
    assert first is not None
    assert await database.write(publish, Event("a.c", {"n": 2}, dedup_key="k"), now=START + 1) is None
    assert [each.data for each in await database.read(find_events, limit=10)] == [{"n": 1}]
    assert await database.write(publish, Event("a.b", {}, dedup_key="K"), now=START) is not None


async def test_events_without_a_key_are_all_kept(database: Database) -> None:
    for _ in range(3):
        await put(database)
    assert len(await ids(database)) == 3


async def test_many_publishers_of_one_key_leave_one_event(place: Place) -> None:
    databases = [place.open() for _ in range(3)]
    event = Event("a.b", {}, dedup_key="k")
    given = await asyncio.gather(*(databases[number % 3].write(publish, event, now=START) for number in range(60)))
    assert sum(each is not None for each in given) == 1
    assert len(await ids(databases[0])) == 1
    await asyncio.gather(*(each.close() for each in databases))


async def test_a_list_goes_from_newest_to_oldest_page_by_page(database: Database) -> None:
    given = [await put(database) for _ in range(7)]
    assert given == sorted(set(given))
    assert await ids(database, limit=3) == given[:3:-1]
    assert await ids(database, before=given[4], limit=3) == given[3:0:-1]
    assert await ids(database, before=given[0]) == []


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (None, 4),
        ("*", 4),
        ("gateway.*", 2),
        ("gateway.upstream.*", 1),
        ("gateway.upstream", 0),
        ("gateway.upstream_down", 1),
        ("gateways.*", 1),
        ("gatewa_.*", 0),
        ("other.*", 0),
    ],
)
async def test_topics(database: Database, topic: str | None, expected: int) -> None:
    for each in ("gateway.upstream_down", "gateway.upstream.up", "gateways.up", "grid.done"):
        await put(database, each)
    assert len(await ids(database, topic)) == expected


async def test_new_events_are_taken_once_oldest_first(database: Database) -> None:
    given = [await put(database) for _ in range(5)]
    assert await take(database, limit=2) == given[:2]
    later = await put(database)
    assert await take(database) == [*given[2:], later]
    assert await take(database) == []
    assert len(await ids(database)) == 6


async def test_what_a_failing_taker_took_is_new_again(database: Database) -> None:
    def fail(tx: sa.Connection) -> None:
        assert take_new(tx, now=START, limit=10)
        msg = "no job could be written"
        raise ConflictError(msg)

    given = await put(database)
    with pytest.raises(ConflictError):
        await database.write(fail)
    assert await take(database) == [given]


async def test_of_many_takers_each_event_goes_to_one(place: Place) -> None:
    databases = [place.open() for _ in range(3)]
    dice = random.Random(1)
    work = [put(databases[number % 3]) for number in range(60)]
    takers = [take_some(databases[number % 3], dice.randint(1, 9)) for number in range(30)]
    given, *taken = await asyncio.gather(asyncio.gather(*work), *takers)
    left = await take(databases[0])
    assert sorted([each for some in taken for each in some] + left) == sorted(given)
    await asyncio.gather(*(each.close() for each in databases))


async def take_some(database: Database, limit: int) -> list[int]:
    await asyncio.sleep(0)
    return await take(database, limit)


async def test_the_old_are_deleted_in_batches_and_ids_never_come_back(database: Database) -> None:
    given = [await put(database, now=START + number) for number in range(10)]
    deleted = []
    while count := await database.write(delete_events, older_than=START + 7, limit=3):
        deleted.append(count)
    assert deleted == [3, 3, 1]
    assert await ids(database) == given[:6:-1]
    assert await database.write(delete_events, older_than=START + 99, limit=99) == 3
    assert await put(database) > max(given)
