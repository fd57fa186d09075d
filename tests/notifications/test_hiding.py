from signalbox.core.times import to_datetime
from signalbox.infra.db import Database
from signalbox.notifications import store
from signalbox.notifications.hiding import find_reason_now
from signalbox.notifications.intake import accept
from signalbox.notifications.routing import Routing
from signalbox.notifications.schemas import SilenceIn
from signalbox.notifications.settings import MatcherSettings
from signalbox.notifications.silences import add_silence
from tests.notifications.conftest import SECOND, START, message_of, routing_of

RULE = {"source": {"topic": "down"}, "target": {"topic": ["slow", "down"]}, "window": "1m"}


async def reason(database: Database, number: int, routing: Routing, now: int = START) -> str | None:
    due = await database.read(store.find_due, number)
    assert due is not None
    return await database.read(find_reason_now, due.message, routing=routing, now=now)


async def test_a_silence_that_began_later_hides_what_waits(database: Database) -> None:
    routing = routing_of("chat")
    await database.write(accept, message_of(), routing=routing, now=START)
    assert await reason(database, 1, routing) is None
    silence = SilenceIn(matcher=MatcherSettings(topic=["sales"]), ends_at=to_datetime(START + SECOND), reason="fair")
    made = await database.write(add_silence, silence, author="user:ann", now=START)
    assert await reason(database, 1, routing) == f"silence {made.id} by user:ann: fair"
    assert await reason(database, 1, routing, START + SECOND) is None


async def test_what_was_raised_later_hides_what_waits_and_never_itself(database: Database) -> None:
    routing = routing_of("chat", inhibit=[RULE])
    await database.write(accept, message_of("slow"), routing=routing, now=START)
    raised = await database.write(accept, message_of("down"), routing=routing, now=START)
    assert await reason(database, 1, routing) == f"hidden by {raised.id}"
    assert await reason(database, 2, routing) is None
    assert await reason(database, 1, routing, START + 61 * SECOND) is None
