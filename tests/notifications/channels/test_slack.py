from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from signalbox.core.secrets import Secret
from signalbox.notifications.channels import Channel, ChannelError
from signalbox.notifications.channels.slack import MAX_SECTION, MAX_TEXT, SlackChannel, SlackSettings, _blocks
from signalbox.sandbox.scripted import Reply, json_reply, pick
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.slack import TOKEN, SlackApp
from tests.support.channels import HOSTILE, NOTICE, open_channel, open_desk


@pytest.fixture
def app() -> SlackApp:
    return SlackApp(interval=0)


@pytest.fixture
async def url(app: SlackApp) -> AsyncIterator[str]:
    async with LoopbackServer(app) as server:
        yield server.url


@pytest.fixture
async def webhook(url: str) -> AsyncIterator[Channel]:
    async with open_desk() as desk, open_channel(SlackChannel.example(url), desk.equipment) as channel:
        yield channel


@pytest.fixture
async def bot(url: str) -> AsyncIterator[Channel]:
    settings = SlackSettings(kind="slack", name="s", token=Secret(TOKEN), channel="C1", api_url=f"{url}/api")
    async with open_desk() as desk, open_channel(settings, desk.equipment) as channel:
        yield channel


async def failure(channel: Channel) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        await channel.send(NOTICE)
    return caught.value


async def test_a_webhook_gets_blocks_and_a_fallback(app: SlackApp, webhook: Channel) -> None:
    assert await webhook.send(NOTICE) == (None, 200, "ok")
    (message,) = app.messages
    assert message["text"] == "A customer waits\nAda asks for an offer."
    assert [block["type"] for block in message["blocks"]] == ["header", "section", "context"]
    assert app.ids() == ["msg_0001"]


async def test_a_bot_posts_to_its_channel_and_learns_the_messages_time(app: SlackApp, bot: Channel) -> None:
    sent = await bot.send(NOTICE)
    assert app.messages[0]["channel"] == "C1"
    assert sent.provider_id is not None
    float(sent.provider_id)


@pytest.mark.parametrize(
    ("word", "permanent", "disable"),
    [
        ("channel_not_found", True, False),
        ("not_in_channel", True, False),
        ("is_archived", True, False),
        ("something_new", True, False),
        ("invalid_auth", True, True),
        ("token_revoked", True, True),
        ("account_inactive", True, True),
        ("internal_error", False, False),
        ("ratelimited", False, False),
    ],
)
async def test_ok_false_is_a_failure(app: SlackApp, bot: Channel, word: str, *, permanent: bool, disable: bool) -> None:
    app.script(json_reply(200, {"ok": False, "error": word}))
    error = await failure(bot)
    assert (error.permanent, error.disable, error.message) == (permanent, disable, f"Slack answered {word}")


@pytest.mark.parametrize(
    ("status", "word", "permanent", "disable"),
    [
        (400, "invalid_payload", True, False),
        (404, "no_service", True, True),
        (403, "invalid_token", True, True),
        (410, "channel_is_archived", True, True),
        (500, "rollup_error", False, False),
        (200, "invalid_token", True, True),
        (200, "<html>a proxy", False, False),
    ],
)
async def test_webhooks_say_a_word(
    app: SlackApp, webhook: Channel, status: int, word: str, *, permanent: bool, disable: bool
) -> None:
    app.script(Reply(status, word.encode()))
    error = await failure(webhook)
    assert (error.permanent, error.disable, error.status) == (permanent, disable, status)


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b"{}", b'{"ok": 1, "error": 5}'])
async def test_an_answer_that_is_none_of_the_api_may_pass(app: SlackApp, bot: Channel, body: bytes) -> None:
    app.script(Reply(200, body))
    error = await failure(bot)
    assert (error.disable, error.status) == (False, 200)
    assert not error.permanent or body.endswith(b"5}")


async def test_too_fast_is_told_with_the_time_to_wait(url: str, app: SlackApp) -> None:
    app._interval = 60
    token = SlackSettings(kind="slack", name="s", token=Secret(TOKEN), channel="C1", api_url=f"{url}/api")
    for settings in (SlackChannel.example(url), token):
        async with open_desk() as desk, open_channel(settings, desk.equipment) as channel:
            await channel.send(NOTICE)
            error = await failure(channel)
        assert (error.status, error.permanent) == (429, False)
        assert error.retry_after is not None
        assert 1 <= error.retry_after <= 60


async def test_a_revoked_token_disables(app: SlackApp, bot: Channel) -> None:
    app.revoked.add(TOKEN)
    assert (await failure(bot)).disable


async def test_nobody_is_mentioned_and_no_link_is_disguised(app: SlackApp, webhook: Channel) -> None:
    await webhook.send(replace(NOTICE, title="<!here>", text=HOSTILE))
    (message,) = app.messages
    section = pick(message, "blocks", 1, "text")
    assert "<!channel>" not in section["text"]
    assert "|https://bank.example>" not in section["text"]
    assert section["verbatim"] is True
    assert "<!" not in message["text"]
    assert pick(message, "blocks", 0, "text", "type") == "plain_text"


PIECES = st.lists(st.sampled_from(["a", "&", "<", "\n", " ", "🚂", "https://a.example "]), min_size=1, max_size=300)


@given(PIECES, st.integers(1, 60))
def test_any_text_fits_slacks_bounds(pieces: list[str], times: int) -> None:
    text = ("".join(pieces) * times)[:MAX_TEXT]
    blocks = _blocks(replace(NOTICE, text=text))
    assert len(blocks) <= 50
    assert all(1 <= len(block["text"]["text"]) <= MAX_SECTION for block in blocks[:-1])


def test_the_worst_text_fits_slacks_bounds() -> None:
    assert len(_blocks(replace(NOTICE, text=("&" * 299 + "\n") * (MAX_TEXT // 300)))) <= 50


async def test_the_worst_text_is_taken(app: SlackApp, webhook: Channel) -> None:
    await webhook.send(replace(NOTICE, text="&" * MAX_TEXT))
    assert len(app.messages) == 1


def test_a_long_text_is_cut_at_line_ends() -> None:
    lines = [f"line {number} {'x' * 90}" for number in range(80)]
    sections = [block["text"]["text"] for block in _blocks(replace(NOTICE, text="\n".join(lines)))[1:-1]]
    assert "\n".join(sections).split("\n") == lines


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"webhook_url": "https://a.example/x", "token": "xoxb", "channel": "C1"},
        {"token": "xoxb"},
        {"channel": "C1", "webhook_url": "https://a.example/x"},
        {"webhook_url": "ftp://a.example"},
        {"webhook_url": "https://a.example/x", "colour": "red"},
        {"token": "xoxb", "channel": "C1", "api_url": "nowhere"},
    ],
)
def test_settings_that_do_not_fit(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        SlackSettings.model_validate({"kind": "slack", "name": "s", **given})


async def test_one_message_a_second_unless_said(webhook: Channel) -> None:
    assert str(webhook.rate) == "1/1s"
