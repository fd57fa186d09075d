import pytest

from signalbox.notifications import store
from signalbox.notifications.errors import MessageNotFoundError, NothingToRetryError
from signalbox.notifications.intake import accept
from signalbox.notifications.message_commands import NothingChosenError
from tests.notifications.conftest import START, Terminal, message_of, routing_of


def taken(terminal: Terminal, topic: str = "sales") -> str:
    """Take a message in that dies; its id."""
    id_: str = terminal.write(accept, message_of(topic, "[red]Call[/red]"), routing=routing_of("chat"), now=START).id
    number = len(terminal.json("list"))
    terminal.write(store.set_dead, number, attempts=1, reason="no", now=START)
    return id_


def test_messages_are_listed_and_shown(terminal: Terminal) -> None:
    ids = [taken(terminal), taken(terminal, "other")]
    assert [each["id"] for each in terminal.json("list")] == ids[::-1]
    assert [each["id"] for each in terminal.json("list", "--topic", "Sales", "--state", "dead")] == ids[:1]
    assert terminal.json("list", "--state", "sent") == []
    assert len(terminal.json("list", "--since", "1970-01-01")) == 2
    assert terminal.json("list", "--since", "2999-01-01") == []
    assert "[red]Call[/red]" in terminal.run("list", "--limit", "1")
    assert terminal.json("show", ids[0])["deliveries"][0]["state"] == "dead"
    assert "chat" in terminal.run("show", ids[0])
    with pytest.raises(MessageNotFoundError):
        terminal.run("show", "msg_0")


def test_one_or_many_are_tried_again(terminal: Terminal) -> None:
    ids = [taken(terminal, topic) for topic in ("sales", "sales", "other")]
    assert terminal.json("retry", ids[0])["deliveries"][0]["state"] == "pending"
    with pytest.raises(NothingToRetryError):
        terminal.run("retry", ids[0])
    with pytest.raises(NothingChosenError):
        terminal.run("retry")
    assert terminal.json("retry", "--topic", "SALES") == {"retried": 1}
    assert terminal.json("retry", "--channel", "mail") == {"retried": 0}
    assert terminal.json("retry", "--all") == {"retried": 1}
