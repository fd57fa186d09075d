"""The page of channels over HTTP."""

from signalbox.auth.audit import AuditFilter, list_entries
from tests.console.conftest import SignedIn, told
from tests.console.pages.test_notifications import context_of, hub

__all__ = ["hub"]


async def test_a_disabled_channel_is_shown_with_its_reason_and_enabled(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    text = await somebody.text("/notifications/channels")
    assert "disabled</span>" in text
    assert "gone &lt;b&gt;" in text
    answer = await somebody.act("/notifications/channels/chat/enable")
    assert told(answer)["toast"]["message"].startswith("chat is sent to again.")
    part = await somebody.text("/notifications/channels", htmx=True)
    assert "disabled</span>" not in part
    assert "<html" not in part
    assert (await somebody.act("/notifications/channels/nobody/enable")).status == 404


async def test_a_test_message_that_fails_says_why(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    toast = told(await somebody.act("/notifications/channels/chat/test"))["toast"]
    assert toast["kind"] == "bad"
    assert toast["message"].startswith("chat did not take the test message: ")
    entry = (await context_of(somebody).db.read(list_entries, wanted=AuditFilter(), limit=1))[0]
    assert (entry.actor, entry.action, entry.target) == ("user:manager", "channel.test", "channel:chat")
