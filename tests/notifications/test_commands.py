import pytest

from signalbox.auth.terminal import InvalidPairError
from signalbox.core.errors import InvalidError
from signalbox.notifications import channel_states
from signalbox.notifications.errors import InvalidSilenceError, SilenceNotFoundError, UnknownTopicError
from tests.notifications.conftest import Terminal


def test_the_way_of_a_message_is_shown(terminal: Terminal) -> None:
    found = terminal.json("test", "--topic", "Sales", "--metadata", "region=eu-1")
    assert found["routes"] == ["eu"]
    assert [(way["channel"], way["outcome"]) for way in found["ways"]] == [("chat", "sent")]
    assert "chat" in terminal.run("test", "--topic", "sales", "--metadata", "region=eu")
    with pytest.raises(UnknownTopicError):
        terminal.run("test", "--topic", "sales")
    with pytest.raises(InvalidPairError):
        terminal.run("test", "--topic", "sales", "--metadata", "region")

    terminal.write(channel_states.disable, "chat", reason="gone", now=1)
    (way,) = terminal.json("test", "--topic", "sales", "--metadata", "region=eu")["ways"]
    assert (way["outcome"], way["reason"]) == ("disabled", "the channel is disabled: gone")


def test_messages_are_silenced_and_told_again(terminal: Terminal) -> None:
    made = terminal.json("silence", "--topic", "sales", "--reason", "fair", "--for", "2h")
    assert made["author"].startswith("cli")
    (way,) = terminal.json("test", "--topic", "sales", "--metadata", "region=eu")["ways"]
    assert way["outcome"] == "suppressed"
    assert [each["id"] for each in terminal.json("silences")] == [made["id"]]
    assert "fair" in terminal.run("silences")
    terminal.run("unsilence", str(made["id"]))
    assert terminal.json("silences") == []
    assert len(terminal.json("silences", "--all")) == 1
    with pytest.raises(SilenceNotFoundError):
        terminal.run("unsilence", str(made["id"]))


def test_a_silence_needs_an_end_and_something_to_silence(terminal: Terminal) -> None:
    with pytest.raises(InvalidSilenceError):
        terminal.run("silence", "--reason", "x", "--for", "2h")
    with pytest.raises(InvalidError, match="is not a span of time"):
        terminal.run("silence", "--topic", "a", "--reason", "x", "--for", "soon")
