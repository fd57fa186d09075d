import pytest

from signalbox.infra.context import Context
from signalbox.notifications.errors import ChannelNotFoundError, HookNotFoundError
from signalbox.notifications.runtime import NotificationRuntime
from signalbox.notifications.settings import NotificationSettings
from tests.notifications.conftest import settings_of


async def test_each_channel_has_its_own_kind_of_jobs(context: Context) -> None:
    settings = settings_of("chat", "mail").model_dump(by_alias=True)
    settings["channels"] = [
        {"kind": "log", "name": "chat", "concurrency": 7},
        {"kind": "log", "name": "mail", "rate": "5/1s", "concurrency": 7},
    ]
    runtime = NotificationRuntime(context, NotificationSettings.model_validate(settings))
    kinds = runtime.kinds()
    assert {name: kind.concurrency for name, kind in kinds.items()} == {
        "notifications.deliver.chat": 7,
        "notifications.deliver.mail": 1,  # what has a rate is sent in order
    }
    await runtime.close()


async def test_what_the_settings_do_not_name_is_not_there(context: Context) -> None:
    runtime = NotificationRuntime(context, settings_of("chat", hooks=[{"name": "bot", "secrets": ["s"], "topic": "x"}]))
    assert runtime.channel("chat").channel.name == "chat"
    assert runtime.hook("bot").topic == "x"
    with pytest.raises(ChannelNotFoundError, match="the channels are: chat"):
        runtime.channel("mail")
    with pytest.raises(HookNotFoundError):
        runtime.hook("other")
    await runtime.close()


async def test_a_test_message_is_sent_at_once(context: Context) -> None:
    runtime = NotificationRuntime(context, settings_of("chat"))
    await runtime.open()
    id_, result = await runtime.test("chat", actor="user:ann")
    assert id_.startswith("msg_")
    assert result.to_attempt().outcome == "sent"
    await runtime.close()
