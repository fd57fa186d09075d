from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from pydantic import ValidationError

from signalbox.notifications.channels import Channel, ChannelError
from signalbox.notifications.channels.telegram import TelegramChannel, TelegramSettings
from signalbox.sandbox.scripted import Reply, json_reply
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.telegram import TelegramApp, refused
from tests.support.channels import HOSTILE, NOTICE, open_channel, open_desk


@pytest.fixture
def app() -> TelegramApp:
    return TelegramApp()


@pytest.fixture
async def channel(app: TelegramApp) -> AsyncIterator[Channel]:
    async with LoopbackServer(app) as server, open_desk() as desk:
        settings = TelegramChannel.example(server.url).model_copy(update={"thread_id": 5})
        async with open_channel(settings, desk.equipment) as made:
            yield made


async def failure(channel: Channel) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        await channel.send(NOTICE)
    return caught.value


async def test_a_message_with_a_bold_title(app: TelegramApp, channel: Channel) -> None:
    sent = await channel.send(NOTICE)
    (message,) = app.messages
    assert sent.provider_id == "1"
    assert message["text"].startswith("<b>A customer waits</b>\n\nAda asks for an offer.\n\n<i>sales")
    assert (message["chat_id"], message["message_thread_id"], message["parse_mode"]) == ("-1001", 5, "HTML")


async def test_html_in_the_text_is_text(app: TelegramApp, channel: Channel) -> None:
    await channel.send(replace(NOTICE, text=HOSTILE))
    assert "&lt;script&gt;" in app.messages[0]["text"]


@pytest.mark.parametrize(
    ("reply", "permanent", "disable", "retry_after"),
    [
        (refused(429, "Too Many Requests: retry after 5", retry_after=5), False, False, 5),
        (refused(400, "Bad Request: chat not found"), True, False, None),
        (refused(401, "Unauthorized"), True, True, None),
        (refused(403, "Forbidden: bot was kicked from the group chat"), True, True, None),
        (refused(500, "Internal"), False, False, None),
        (json_reply(400, {"ok": False, "error_code": "x", "parameters": {"retry_after": "y"}}), True, False, None),
        (Reply(200, b"no JSON"), False, False, None),
        (Reply(200, b"[]"), False, False, None),
    ],
)
async def test_refusals(
    app: TelegramApp,
    channel: Channel,
    reply: Reply,
    *,
    permanent: bool,
    disable: bool,
    retry_after: float | None,
) -> None:
    app.script(reply)
    error = await failure(channel)
    assert (error.permanent, error.disable, error.retry_after) == (permanent, disable, retry_after)


async def test_length_counts_as_telegram_counts_it(app: TelegramApp, channel: Channel) -> None:
    with pytest.raises(ChannelError, match="Telegram takes 4096") as caught:
        await channel.send(replace(NOTICE, text="🚂" * 2_100))
    assert caught.value.permanent
    assert app.count == 0
    await channel.send(replace(NOTICE, text="&" * 3_300))


@pytest.mark.parametrize("given", [{"token": "a/../b"}, {"chat_id": "x"}, {"api_url": "https://a/?b"}])
def test_settings_that_do_not_fit(given: dict[str, str]) -> None:
    entry = {"kind": "telegram", "name": "t", "token": "1:a", "chat_id": "-1", **given}
    with pytest.raises(ValidationError):
        TelegramSettings.model_validate(entry)
