"""How channels are made from settings."""

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from signalbox.core.registry import OneOf, PluginSettings
from signalbox.notifications.channels import PACKAGE, ChannelError, build_channel
from signalbox.notifications.channels.slack import SlackChannel
from tests.support.channels import open_desk

ENTRY: TypeAdapter[PluginSettings] = TypeAdapter(Annotated[PluginSettings, OneOf(PACKAGE)])


async def test_an_entry_of_the_settings_becomes_a_channel() -> None:
    entry = {"name": "sales", "kind": "slack", "webhook_url": "https://hooks.slack.com/services/T/B/X", "rate": "1/2s"}
    async with open_desk() as desk:
        channel = build_channel(ENTRY.validate_python(entry), desk.equipment)
    assert isinstance(channel, SlackChannel)
    assert (channel.name, str(channel.rate), channel.host) == ("sales", "1/2s", "hooks.slack.com")


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValidationError, match=r"apprise, email, file, log, rabbitmq, slack, teams, telegram, webhook"):
        ENTRY.validate_python({"name": "a", "kind": "pigeon"})


def test_a_disabled_channel_is_not_tried_again() -> None:
    assert ChannelError("gone", disable=True).permanent
