import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from signalbox.notifications.channels import Channel, ChannelError
from signalbox.notifications.channels.teams import MAX_BYTES, TeamsChannel
from signalbox.sandbox.scripted import pick
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.teams import TeamsApp
from tests.support.channels import HOSTILE, NOTICE, open_channel, open_desk


@pytest.fixture
def app() -> TeamsApp:
    return TeamsApp()


@pytest.fixture
async def channel(app: TeamsApp) -> AsyncIterator[Channel]:
    async with (
        LoopbackServer(app) as server,
        open_desk() as desk,
        open_channel(TeamsChannel.example(server.url), desk.equipment) as made,
    ):
        yield made


def texts(app: TeamsApp) -> list[str]:
    body = pick(app.messages[-1], "attachments", 0, "content", "body")
    return [run["text"] for block in body for run in block["inlines"]]


async def test_a_card_with_a_line_for_each_line(app: TeamsApp, channel: Channel) -> None:
    assert (await channel.send(replace(NOTICE, text="one\n\ntwo"))).status == 202
    assert texts(app) == ["A customer waits", "one", " ", "two", "sales · warning · app bot · customer c-17 · msg_0001"]


async def test_nothing_is_taken_for_markup(app: TeamsApp, channel: Channel) -> None:
    await channel.send(replace(NOTICE, text=HOSTILE))
    kinds = {block["type"] for block in pick(app.messages[0], "attachments", 0, "content", "body")}
    assert kinds == {"RichTextBlock"}  # whose text runs know no Markdown
    assert "[x](javascript:1)" in " ".join(texts(app))


async def test_a_card_that_teams_would_not_take_is_not_sent(app: TeamsApp, channel: Channel) -> None:
    for text in ("ü" * 15_000, "\n" * 2_000):
        with pytest.raises(ChannelError, match=f"Teams takes {MAX_BYTES}") as caught:
            await channel.send(replace(NOTICE, text=text))
        assert caught.value.permanent
    assert app.count == 0


async def test_too_many_in_a_second_are_put_off(channel: Channel) -> None:
    with pytest.raises(ChannelError) as caught:
        await asyncio.gather(*(channel.send(NOTICE) for _ in range(20)))
    assert (caught.value.status, caught.value.permanent, caught.value.retry_after) == (429, False, 1)
    assert str(channel.rate) == "4/1s"
