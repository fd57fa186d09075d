import pytest

from signalbox.notifications import channel_states
from signalbox.notifications.errors import ChannelNotFoundError
from tests.notifications.conftest import START, Terminal


def test_channels_are_shown_and_switched_on(terminal: Terminal) -> None:
    terminal.write(channel_states.disable, "chat", reason="gone", now=START)
    (shown,) = terminal.json("channels")
    assert (shown["name"], shown["kind"], shown["state"], shown["reason"]) == ("chat", "log", "disabled", "gone")
    assert "disabled" in terminal.run("channels")
    terminal.run("enable", "chat")
    assert terminal.json("channels")[0]["state"] == "ok"
    with pytest.raises(ChannelNotFoundError):
        terminal.run("enable", "other")


def test_a_test_message_is_sent(terminal: Terminal) -> None:
    assert terminal.json("send-test", "chat")["sent"] is True
    terminal.run("send-test", "chat")
    with pytest.raises(ChannelNotFoundError):
        terminal.run("send-test", "other")


def test_a_message_is_shown_as_a_channel_would_show_it(terminal: Terminal) -> None:
    words = ["preview", "chat", "--topic", "Sales", "--description", "Call [b]Ann[/b]", "--metadata", "region=eu"]
    assert terminal.json(*words) == {
        "channel": "chat",
        "title": "sales: Call [b]Ann[/b]",
        "text": "Call [b]Ann[/b]\n\nregion: eu",
        "html": None,
        "problem": None,
    }
    assert "Call [b]Ann[/b]" in terminal.run(*words)
