from signalbox.infra.db import Database
from signalbox.infra.events import find_events
from signalbox.notifications.channel_states import disable, enable, pause
from signalbox.notifications.listing import channel_figures
from tests.notifications.conftest import START


async def test_the_later_end_of_two_pauses_wins(database: Database) -> None:
    for until in (START + 5, START + 9, START + 7):
        await database.write(pause, "chat", until=until)
    figures = await database.read(channel_figures, ["chat", "mail"])
    assert (figures["chat"].paused_until, figures["mail"].paused_until) == (START + 9, None)


async def test_a_channel_is_disabled_once_and_that_is_told_once(database: Database) -> None:
    assert await database.write(disable, "chat", reason="gone", now=START)
    assert not await database.write(disable, "chat", reason="gone again", now=START)
    (event,) = await database.read(find_events, limit=9)
    assert (event.topic, event.severity, event.data) == (
        "channel.disabled",
        "error",
        {"channel": "chat", "reason": "gone"},
    )
    assert (await database.read(channel_figures, ["chat"]))["chat"].disabled_reason == "gone"


async def test_enabling_ends_pauses_too(database: Database) -> None:
    assert not await database.write(enable, "chat")
    await database.write(pause, "chat", until=START)
    await database.write(disable, "chat", reason="gone", now=START)
    assert await database.write(enable, "chat")
    figures = (await database.read(channel_figures, ["chat"]))["chat"]
    assert (figures.disabled_reason, figures.paused_until) == (None, None)
    assert not await database.write(enable, "chat")
