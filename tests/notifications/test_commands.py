import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from signalbox.app.hub import open_context
from signalbox.core.errors import InvalidError
from signalbox.infra.context import Context
from signalbox.notifications import channel_states
from signalbox.notifications.commands import InvalidPairError, build_commands
from signalbox.notifications.errors import InvalidSilenceError, SilenceNotFoundError, UnknownTopicError
from tests.notifications.conftest import settings_of
from tests.support.databases import Place
from tests.support.hub import settings_at


class Terminal:
    """Somebody who types commands."""

    def __init__(self, place: Place) -> None:
        self._settings = settings_at(place)
        routes = [{"topic": "sales", "metadata": {"region": "eu*"}, "channels": ["chat"], "name": "eu"}]
        notifications = settings_of("chat", routes=routes)
        self._app = build_commands(self.open, lambda: notifications)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Context]:
        async with open_context(self._settings) as context:
            yield context

    def run(self, *words: str) -> str:
        """What a command prints to stdout; what it raises is raised."""
        result = CliRunner().invoke(self._app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))


@pytest.fixture
def terminal(place: Place) -> Terminal:
    return Terminal(place)


def test_the_way_of_a_message_is_shown(terminal: Terminal) -> None:
    found = terminal.json("test", "--topic", "Sales", "--metadata", "region=eu-1")
    assert found["routes"] == ["eu"]
    assert [(way["channel"], way["outcome"]) for way in found["ways"]] == [("chat", "sent")]
    assert "chat" in terminal.run("test", "--topic", "sales", "--metadata", "region=eu")
    with pytest.raises(UnknownTopicError):
        terminal.run("test", "--topic", "sales")
    with pytest.raises(InvalidPairError):
        terminal.run("test", "--topic", "sales", "--metadata", "region")

    async def disable() -> None:
        async with terminal.open() as context:
            await context.db.write(channel_states.disable, "chat", reason="gone", now=1)

    asyncio.run(disable())
    (way,) = terminal.json("test", "--topic", "sales", "--metadata", "region=eu")["ways"]
    assert (way["outcome"], way["reason"]) == ("suppressed", "the channel is disabled: gone")


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
