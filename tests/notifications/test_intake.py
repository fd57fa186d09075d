from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from signalbox.core.times import HOUR, MINUTE
from signalbox.infra.db import Database
from signalbox.infra.jobs import ABOUT, StoredJob, find_jobs
from signalbox.notifications import channel_states, store
from signalbox.notifications.errors import InvalidMessageError, UnknownTopicError
from signalbox.notifications.handover import Handover
from signalbox.notifications.intake import accept, fold_topic
from signalbox.notifications.listing import show_message
from signalbox.notifications.models import message
from signalbox.notifications.routing import Routing
from signalbox.notifications.schemas import NewMessage
from tests.notifications.conftest import SECOND, START, message_of, routing_of

OUTAGE = {
    "source": {"topic": "gateway.upstream_down"},
    "target": {"topic": "gateway.*"},
    "equal": ["upstream"],
    "resolved_by": "gateway.upstream_up",
    "window": "1h",
}


async def take(database: Database, new: NewMessage, routing: Routing, now: int = START) -> Any:
    """Accept a message; how it stands then."""
    accepted = await database.write(accept, new, routing=routing, now=now)
    return await database.read(show_message, accepted.id)


async def outcomes(
    database: Database, new: NewMessage, routing: Routing, now: int = START
) -> dict[str, tuple[str, str | None]]:
    found = await take(database, new, routing, now)
    return {each.channel: (each.state, each.reason) for each in found.deliveries}


async def jobs(database: Database) -> list[StoredJob]:
    return list(reversed(await database.read(find_jobs, limit=100)))


async def test_message_deliveries_and_jobs_are_there_together_or_not_at_all(database: Database) -> None:
    routing = routing_of("chat", "mail")
    accepted = await database.write(accept, message_of(), routing=routing, now=START)
    assert accepted.channels == ["chat", "mail"]
    assert [(each.kind, each.due_at) for each in await jobs(database)] == [
        ("notifications.deliver.chat", START),
        ("notifications.deliver.mail", START),
    ]

    def fail(tx: Connection) -> None:
        accept(tx, message_of(), routing=routing, now=START)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fail)
    assert len(await database.read(lambda tx: tx.execute(select(message.c.id)).all())) == 1
    assert len(await jobs(database)) == 2


async def test_a_topic_that_no_route_takes_is_refused_with_those_that_are_known(database: Database) -> None:
    routing = routing_of("chat", routes=[{"topic": ["sales", "task.*"], "channels": ["chat"]}])
    with pytest.raises(UnknownTopicError, match=r"'other'; known topics are: sales, task\.\*"):
        await database.write(accept, message_of("other"), routing=routing, now=START)
    default = routing_of("chat", routes=[], default={"channels": ["chat"]})
    found = await take(database, message_of("other"), default)
    assert found.routes == ["default"]


@pytest.mark.parametrize(
    "broken", [{"description": " \n"}, {"description": "a\0b"}, {"customer": "\0"}, {"dedup_key": "\0"}]
)
async def test_what_cannot_be_told_is_refused(database: Database, broken: dict[str, str]) -> None:
    with pytest.raises(InvalidMessageError):
        await database.write(accept, message_of(**broken), routing=routing_of("chat"), now=START)


def test_topics_are_trimmed_and_folded() -> None:
    assert fold_topic("  SaLeS ") == "sales"
    for wrong in ("", "  ", "x" * 101, "a\nb", "a\0"):
        with pytest.raises(InvalidMessageError):
            fold_topic(wrong)


async def test_a_repetition_within_the_window_is_not_told_again(database: Database) -> None:
    routing = routing_of("chat", routes=[{"topic": "*", "channels": ["chat"], "repeat_window": "1m"}])

    async def state(now: int, **more: Any) -> str:
        return (await outcomes(database, message_of(**more), routing, now))["chat"][0]

    assert await state(START, dedup_key="k") == "pending"
    assert await state(START + 59 * SECOND, dedup_key="k") == "suppressed"
    assert await state(START + 59 * SECOND, dedup_key="other") == "pending"
    assert await state(START + 59 * SECOND, dedup_key="k", topic="other") == "pending"
    assert await state(START + 59 * SECOND) == "pending"
    # the window begins with what was told, not with what was kept back: it does not hide a lasting state for ever
    assert await state(START + 60 * SECOND, dedup_key="k") == "pending"


async def test_a_raised_message_hides_lesser_ones_with_equal_labels(database: Database) -> None:
    routing = routing_of("chat", inhibit=[OUTAGE])

    async def state(topic: str, upstream: str, now: int) -> str:
        found = await outcomes(database, message_of(topic, metadata={"upstream": upstream}), routing, now)
        return found["chat"][0]

    assert await state("gateway.slow", "a", START) == "pending"
    assert await state("gateway.upstream_down", "a", START) == "pending"
    assert await state("gateway.slow", "a", START + MINUTE) == "suppressed"
    assert await state("gateway.slow", "b", START + MINUTE) == "pending"
    assert await state("gateway.upstream_down", "a", START + MINUTE) == "pending"  # never hidden by itself
    assert await state("gateway.upstream_up", "a", START + 2 * MINUTE) == "pending"
    assert await state("gateway.slow", "a", START + 2 * MINUTE) == "pending"
    assert await state("gateway.upstream_down", "a", START + 3 * MINUTE) == "pending"
    assert await state("gateway.slow", "a", START + 3 * MINUTE + HOUR) == "pending"  # it counts as raised for so long


async def test_a_group_waits_for_its_first_message_then_for_its_interval(database: Database) -> None:
    group = {"by": ["topic", "region"], "wait": "30s", "interval": "5m"}
    routing = routing_of("chat", routes=[{"topic": "*", "channels": ["chat"], "group": group}])

    async def moment(seconds: int, region: str = "eu") -> int:
        await take(database, message_of(metadata={"region": region}), routing, START + seconds * SECOND)
        return ((await jobs(database))[-1].due_at - START) // SECOND

    assert await moment(0) == 30
    assert await moment(20) == 30
    assert await moment(20, "us") == 50
    assert await moment(40) == 330
    assert await moment(300) == 330
    assert await moment(700) == 730  # nothing was told for longer than the interval: it is a new group


async def test_quiet_hours_hold_messages_back_until_they_end(database: Database) -> None:
    quiet = {"start": "22:00", "end": "07:00"}
    routing = routing_of("chat", routes=[{"topic": "*", "channels": ["chat"], "quiet": quiet}])
    assert (await outcomes(database, message_of(), routing))["chat"] == ("pending", "waits for the end of quiet hours")
    await take(database, message_of(severity="critical"), routing)
    assert [each.due_at for each in await jobs(database)] == [START + 7 * HOUR, START]


async def test_a_disabled_channel_gets_nothing_and_failures_go_round_it(database: Database) -> None:
    routing = routing_of("chat", "mail", routes=[{"topic": "*", "channels": ["chat"]}])
    await database.write(channel_states.disable, "chat", reason="gone", now=START)
    assert await outcomes(database, message_of(), routing) == {"chat": ("dead", "the channel is disabled: gone")}
    assert await outcomes(database, message_of("channel.disabled"), routing) == {"mail": ("pending", None)}
    assert [each.payload.get(ABOUT) for each in await jobs(database)] == ["job.dead"]


async def test_nobody_is_told_of_the_death_of_a_job_that_tells_of_a_death(database: Database) -> None:
    routing = routing_of("chat")
    for topic in ("sales", "job.dead", "notification.dead", "channel.disabled"):
        await take(database, message_of(topic), routing)
    assert [each.payload.get(ABOUT) for each in await jobs(database)] == [None, "job.dead", "job.dead", "job.dead"]


async def test_ids_sort_by_time(database: Database) -> None:
    routing = routing_of("chat")
    made = [await database.write(accept, message_of(), routing=routing, now=START + n * 1_000) for n in range(5)]
    assert sorted(each.id for each in made) == [each.id for each in made]
    assert all(each.id.startswith("msg_") and len(each.id) == 36 for each in made)


async def test_an_accepted_message_takes_few_statements(database: Database) -> None:
    def statements(tx: Connection) -> int:
        run: list[str] = []
        if database.dialect == "sqlite":  # where most go past SQLAlchemy
            tx.connection.driver_connection.set_trace_callback(run.append)  # type: ignore[union-attr]
        else:
            event.listen(tx, "before_cursor_execute", lambda *each: run.append(each[2]))
        accept(tx, message_of(), routing=routing_of("chat"), now=START)
        return len(run)

    # what stands against it, the message, its delivery, the job
    assert await database.write(statements) == 4


async def test_what_is_due_at_once_is_handed_over_as_the_database_has_it(database: Database) -> None:
    handover = Handover()
    routes = [
        {"topic": "*", "channels": ["chat"], "continue": True},
        {"topic": "*", "channels": ["mail"], "group": {"by": ["topic"]}},
    ]
    routing = routing_of("chat", "mail", routes=routes)
    new = message_of(metadata={"order": [1, None]}, customer="ACME")
    await database.write(accept, new, routing=routing, now=START, handover=handover)
    due = handover.take(1, now=START)
    assert due is not None
    assert due == await database.read(store.find_due, 1)
    assert handover.take(2, now=START) is None, "it waits for its group"


async def test_what_is_handed_over_knows_of_a_pause_and_comes_after_the_commit(database: Database) -> None:
    handover, routing = Handover(), routing_of("chat")
    await database.write(channel_states.pause, "chat", until=START + SECOND)
    await database.write(accept, message_of(), routing=routing, now=START, handover=handover)
    due = handover.take(1, now=START)
    assert due is not None
    assert due.paused_until == START + SECOND

    def fail(tx: Connection) -> None:
        accept(tx, message_of(), routing=routing, now=START, handover=handover)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fail)
    assert handover.take(2, now=START) is None
