import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.criticality.consumer_store import Asked
from signalbox.criticality.errors import UnknownConsumerError
from signalbox.criticality.schemas import ConsumerOut, NewConsumer, State
from signalbox.criticality.service import ask, consumers, report, silence
from signalbox.criticality.store import Told
from signalbox.infra.db import Database
from tests.criticality.conftest import SECOND, SETTINGS, START, silent


async def put(db: Database, level: int, second: int) -> None:
    what = report.Report("default", level, START + second * SECOND, "p")
    await db.write(report.report, what, settings=SETTINGS, announce=silent, now=START + second * SECOND)


async def read(db: Database, second: int, app: str = "a") -> ConsumerOut:
    return await db.read(consumers.read_consumer, app, "default", now=START + second * SECOND)


async def register(db: Database, second: int, **fields: object) -> ConsumerOut:
    new = NewConsumer.model_validate({"app": "a", **fields})
    return await db.write(consumers.register, new, actor="user:anna", now=START + second * SECOND)


async def asked(db: Database, second: int) -> None:
    await db.write(silence.note_asks, [Asked("a", "default", 3, START + second * SECOND)], now=START)


async def test_a_consumer_shows_what_it_was_told_and_how_far_it_is_behind(database: Database) -> None:
    await asked(database, 1)
    await asked(database, 2)
    for second in (10, 20, 30):
        await put(database, second // 10, second)
    found = await read(database, 35)
    assert (found.state, found.requests, found.revision, found.lag, found.lag_seconds) == ("seen", 6, None, 3, 5)
    await database.write(ask.claim, [("a", "default")], now=START + 36 * SECOND)
    found = await read(database, 40)
    assert (found.revision, found.acknowledged, found.lag, found.lag_seconds) == (3, None, 0, 0)
    await database.write(ask.acknowledge, Told("a", "default", 2), now=START + 41 * SECOND)
    assert (await read(database, 42)).acknowledged == 2


async def test_states_follow_each_other(database: Database) -> None:
    assert (await register(database, 0, interval="1m")).state == "unseen"
    await asked(database, 1)
    found = await read(database, 60)
    assert (found.state, found.overdue, found.interval) == ("seen", False, "1m")
    await database.write(silence.begin, alone=True, now=START)
    await database.write(silence.note_asks, [], now=START + 61 * SECOND)
    await database.write(silence.begin, alone=False, now=START + 75 * SECOND)
    assert await database.write(silence.check, now=START + 80 * SECOND) == 0, "there was a gap"
    for second in range(85, 140, 5):
        await database.write(silence.note_asks, [], now=START + second * SECOND)
    await database.write(silence.check, now=START + 140 * SECOND)
    found = await read(database, 140)
    assert (found.state, found.overdue) == ("silent", True)
    assert (await register(database, 141, muted=True)).state == "muted"
    assert (await register(database, 142, muted=False)).state == "seen"
    await database.write(consumers.retire, "a", "default", actor="user:anna", now=START + 143 * SECOND)
    assert (await read(database, 143)).state == "retired"
    assert (await register(database, 144)).interval == "1m", "what is left out stays"
    assert (await register(database, 145, interval="none")).interval is None


async def test_a_silent_consumer_is_not_back_because_something_else_is_expected_of_it(database: Database) -> None:
    await register(database, 0, interval="5s")
    await database.write(silence.note_asks, [], now=START)
    assert await database.write(silence.check, now=START + 6 * SECOND) == 1, "it fell silent"
    assert (await register(database, 7, interval="30s")).state == "silent"
    assert await database.write(silence.check, now=START + 8 * SECOND) == 0
    await asked(database, 9)
    assert await database.write(silence.check, now=START + 10 * SECOND) == 1, "it is back"
    assert (await read(database, 42)).overdue, "by what is expected of it now"


@pytest.mark.parametrize("state", ["unseen", "seen", "muted", "retired", "silent"])
async def test_the_list_filters_by_the_state_that_it_shows(database: Database, state: State) -> None:
    made: dict[str, dict[str, object]] = {
        "unseen": {},
        "muted": {"muted": True},
        "retired": {},
        "silent": {"interval": "1s"},
    }
    for app, fields in made.items():
        await register(database, 0, app=app, **fields)
    await database.write(silence.note_asks, [Asked("seen", "default", 1, START)], now=START)
    await database.write(consumers.retire, "retired", "default", actor="a", now=START)
    await database.write(silence.check, now=START + 2 * SECOND)
    page = await database.read(
        consumers.list_consumers,
        name="default",
        state=state,
        cursor=None,
        limit=9,
        now=START,
    )
    assert [(each.app, each.state) for each in page.items] == [(state, state)]


async def test_lists_go_on_where_they_ended(database: Database) -> None:
    for number in range(5):
        await register(database, 0, app=f"app-{number}")
        await put(database, number + 1, number)
    names, cursor = [], None
    while True:
        page = await database.read(consumers.list_consumers, name=None, state=None, cursor=cursor, limit=2, now=START)
        names += [each.app for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert names == [f"app-{number}" for number in (4, 3, 2, 1, 0)]
    first = await database.read(consumers.list_changes, "default", cursor=None, limit=2)
    second = await database.read(consumers.list_changes, "default", cursor=first.next_cursor, limit=9)
    assert [each.revision for each in first.items + second.items] == [5, 4, 3, 2, 1]
    (signal,) = await database.read(consumers.list_signals)
    assert (signal.level, signal.revision) == (5, 5)


async def test_changes_are_audited_and_strangers_unknown(database: Database) -> None:
    await register(database, 0, interval="1m")
    await database.write(consumers.retire, "a", "default", actor="user:anna", now=START)
    entries = await database.read(list_entries, wanted=AuditFilter(), limit=5)
    assert [(each.action, each.actor, each.target) for each in entries] == [
        ("consumer.retire", "user:anna", "consumer:a/default"),
        ("consumer.register", "user:anna", "consumer:a/default"),
    ]
    assert entries[0].after == {"interval": "1m", "muted": False, "retired": True}
    with pytest.raises(UnknownConsumerError):
        await database.write(consumers.retire, "b", "default", actor="x", now=START)


def test_spans_are_written_as_in_settings() -> None:
    assert [consumers.to_span(each * SECOND) for each in (1, 90, 300, 7_200, 86_400)] == ["1s", "90s", "5m", "2h", "1d"]
