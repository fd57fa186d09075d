from collections.abc import Sequence

from sqlalchemy import Connection

from signalbox.core.rates import Rate
from signalbox.infra.db import Database
from signalbox.notifications import store
from signalbox.notifications.claims import MAX_CARRIED, Hides, Pace, Start, Wait, begin
from signalbox.notifications.intake import accept
from signalbox.notifications.schemas import StoredMessage
from signalbox.notifications.store import Due
from tests.notifications.conftest import SECOND, START, message_of, routing_of

ONE_A_SECOND = Pace(Rate(1, SECOND), digest=True, at_once=MAX_CARRIED)


def free(_tx: Connection, _now: int) -> None:
    """A host without a budget."""


async def queue(database: Database, count: int, **more: object) -> list[Due]:
    """Deliveries that wait, oldest first."""
    routing = routing_of("chat", routes=[{"topic": "*", "channels": ["chat"], **more}])
    for number in range(count):
        await database.write(accept, message_of(description=f"number {number}"), routing=routing, now=START)
    found = [await database.read(store.find_due, number) for number in range(1, count + 1)]
    return [each for each in found if each is not None]


def nothing(_tx: Connection, _of: StoredMessage, _now: int) -> None:
    """No silence."""


async def start(
    database: Database, due: Due, pace: Pace = ONE_A_SECOND, now: int = START, hides: Hides = nothing
) -> Start | Wait | None:
    return await database.write(begin, due, pace=pace, permit=free, hides=hides, now=now)


def told(started: Start | Wait | None) -> Sequence[str]:
    assert isinstance(started, Start)
    return [each.description for each in started.carried]


async def test_a_burst_beyond_the_rate_goes_with_the_first(database: Database) -> None:
    first, second, third = await queue(database, 3)
    assert told(await start(database, first)) == ["number 1", "number 2"]
    assert await start(database, second) is None
    assert await start(database, third) is None


async def test_what_the_rate_lets_through_goes_alone(database: Database) -> None:
    pace = ONE_A_SECOND._replace(rate=Rate(3, SECOND))
    for due in await queue(database, 3):
        assert told(await start(database, due, pace)) == []


async def test_a_message_waits_for_its_slot(database: Database) -> None:
    (first,) = await queue(database, 1)
    assert told(await start(database, first)) == []
    routing = routing_of("chat")
    await database.write(accept, message_of(), routing=routing, now=START)
    second = await database.read(store.find_due, 2)
    assert second is not None
    wait = await start(database, second, now=START + SECOND // 2)
    assert isinstance(wait, Wait)
    assert SECOND <= wait.until - START <= SECOND + 100_000
    assert told(await start(database, second, now=wait.until)) == []


async def test_a_digest_holds_no_more_than_fits(database: Database) -> None:
    due = await queue(database, 5)
    pace = ONE_A_SECOND._replace(at_once=3)
    assert told(await start(database, due[0], pace)) == ["number 1", "number 2"]
    wait = await start(database, due[4], pace, START + 1_000)
    assert isinstance(wait, Wait)
    assert told(await start(database, due[3], pace, START + 2 * SECOND)) == ["number 4"]


async def test_an_attempt_that_is_repeated_carries_the_same(database: Database) -> None:
    first, *_ = await queue(database, 3)
    assert told(await start(database, first)) == ["number 1", "number 2"]
    await database.write(accept, message_of(description="later"), routing=routing_of("chat"), now=START + 1)
    again = told(await start(database, first, now=START + 2 * SECOND))
    assert again == ["number 1", "number 2", "later"]


async def test_without_digests_the_oldest_goes_first(database: Database) -> None:
    pace = ONE_A_SECOND._replace(digest=False)
    first, second, third = await queue(database, 3)
    assert isinstance(await start(database, third, pace), Wait)
    assert told(await start(database, first, pace)) == []
    waits = [await start(database, due, pace, START + 1) for due in (second, third)]
    assert [isinstance(wait, Wait) for wait in waits] == [True, True]
    ends = [wait.until for wait in waits if isinstance(wait, Wait)]
    assert ends[1] - ends[0] == SECOND  # one slot behind
    late = START + 3_600 * SECOND  # the job of the second may be gone: nobody waits for it for ever
    assert told(await start(database, third, pace, late)) == []


async def test_a_group_goes_together_when_its_moment_has_come(database: Database) -> None:
    group = {"by": ["topic"], "wait": "30s"}
    first, second = await queue(database, 2, group=group)
    pace = Pace(None, digest=True, at_once=MAX_CARRIED)
    assert told(await start(database, second, pace, START + 30 * SECOND)) == ["number 0"]
    assert await start(database, first, pace, START + 30 * SECOND) is None


async def test_a_budget_that_is_used_up_is_waited_for(database: Database) -> None:
    (due,) = await queue(database, 1)
    pace = Pace(None, digest=True, at_once=MAX_CARRIED)
    asked = Wait(START + SECOND, "waits for the budget of its host")
    wait = await database.write(begin, due, pace=pace, permit=lambda _tx, _now: asked, hides=nothing, now=START)
    assert wait == asked
    found = await database.read(store.find_due, 1)
    assert found is not None
    assert found.state == "pending"


def hiding(*descriptions: str) -> Hides:
    return lambda _tx, of, _now: "a silence" if of.description in descriptions else None


async def states(database: Database, count: int) -> list[str]:
    found = [await database.read(store.find_due, number) for number in range(1, count + 1)]
    return [each.state for each in found if each is not None]


async def test_what_is_hidden_by_now_is_not_told(database: Database) -> None:
    (due,) = await queue(database, 1)
    assert await start(database, due, hides=hiding("number 0")) is None
    assert await states(database, 1) == ["suppressed"]


async def test_what_is_hidden_by_now_is_left_out_of_a_digest(database: Database) -> None:
    first, *_ = await queue(database, 3)
    assert told(await start(database, first, hides=hiding("number 1"))) == ["number 2"]
    assert await states(database, 3) == ["sending", "suppressed", "collapsed"]


async def test_a_digest_that_is_repeated_ends_only_where_all_of_it_is_hidden(database: Database) -> None:
    first, *_ = await queue(database, 2)
    assert told(await start(database, first)) == ["number 1"]
    later = START + 2 * SECOND
    assert told(await start(database, first, now=later, hides=hiding("number 0"))) == ["number 1"]
    assert await start(database, first, now=later + 2 * SECOND, hides=hiding("number 0", "number 1")) is None
    assert await states(database, 2) == ["suppressed", "suppressed"]
