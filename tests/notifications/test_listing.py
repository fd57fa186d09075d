import pytest

from signalbox.core.pagination import InvalidCursorError
from signalbox.infra.db import Database
from signalbox.notifications import store
from signalbox.notifications.errors import MessageNotFoundError
from signalbox.notifications.intake import accept
from signalbox.notifications.listing import MessageFilter, channel_figures, list_messages, show_message
from signalbox.notifications.schemas import Attempt
from tests.notifications.conftest import SECOND, START, message_of, routing_of


@pytest.fixture
async def filled(database: Database) -> Database:
    """Six messages, a second apart: one is dead on chat, one was sent there."""
    for number in range(6):
        new = message_of(
            "sales" if number % 2 else "other",
            f"number {number}",
            severity="error" if number == 3 else "info",
            app="shop" if number < 2 else None,
            customer="ACME" if number == 4 else None,
        )
        routing = routing_of("chat", "mail") if number == 5 else routing_of("chat")
        await database.write(accept, new, routing=routing, now=START + number * SECOND)
    await database.write(store.insert_attempt, 1, "chat", Attempt(START, 5_000, "failed", 500, "oops", "HTTP 500"))
    await database.write(store.set_dead, 1, attempts=1, reason="HTTP 500", now=START)
    await database.write(store.insert_attempt, 2, "chat", Attempt(START + 7, 5_000, "sent", 200, "ok", None))
    await database.write(store.set_sent, 2, provider_id="p1", now=START)
    return database


async def numbers(database: Database, wanted: MessageFilter) -> list[str]:
    page = await database.read(list_messages, wanted, limit=50)
    return [each.description.removeprefix("number ") for each in page.items]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (MessageFilter(), "543210"),
        (MessageFilter(topic="sales"), "531"),
        (MessageFilter(state="dead"), "0"),
        (MessageFilter(state="sent"), "1"),
        (MessageFilter(state="pending"), "5432"),
        (MessageFilter(channel="mail"), "5"),
        (MessageFilter(channel="mail", state="dead"), ""),
        (MessageFilter(severity="error"), "3"),
        (MessageFilter(app="shop"), "10"),
        (MessageFilter(customer="ACME"), "4"),
        (MessageFilter(since=START + 2 * SECOND, until=START + 4 * SECOND), "32"),
    ],
)
async def test_messages_are_filtered_newest_first(filled: Database, wanted: MessageFilter, expected: str) -> None:
    assert await numbers(filled, wanted) == list(expected)


async def test_pages_follow_each_other(filled: Database) -> None:
    first = await filled.read(list_messages, MessageFilter(), limit=4)
    second = await filled.read(list_messages, MessageFilter(), limit=4, cursor=first.next_cursor)
    assert [len(first.items), len(second.items), second.next_cursor] == [4, 2, None]
    with pytest.raises(InvalidCursorError):
        await filled.read(list_messages, MessageFilter(), limit=4, cursor="nonsense")


async def test_one_id_tells_where_a_request_is(filled: Database) -> None:
    dead = (await filled.read(list_messages, MessageFilter(state="dead"), limit=1)).items[0]
    found = await filled.read(show_message, dead.id)
    (delivery,) = found.deliveries
    assert (delivery.channel, delivery.state, delivery.attempts, delivery.reason) == ("chat", "dead", 1, "HTTP 500")
    (tried,) = delivery.tries
    assert (tried.outcome, tried.status, tried.excerpt, tried.seconds) == ("failed", 500, "oops", 0.005)
    with pytest.raises(MessageNotFoundError):
        await filled.read(show_message, "msg_0")


async def test_channels_tell_how_they_do(filled: Database) -> None:
    figures = await filled.read(channel_figures, ["chat", "mail"])
    assert (figures["chat"].backlog, figures["chat"].dead, figures["chat"].last_success) == (4, 1, START + 7)
    assert (figures["mail"].backlog, figures["mail"].dead, figures["mail"].last_success) == (1, 0, None)
