from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import ValidationError

from signalbox.notifications.channels import Channel, ChannelError
from signalbox.notifications.channels.apprise import AppriseChannel, AppriseSettings
from signalbox.sandbox.receiver import ReceiverApp
from signalbox.sandbox.scripted import Reply
from signalbox.sandbox.server import LoopbackServer
from tests.support.channels import NOTICE, open_channel, open_desk


@asynccontextmanager
async def open_service(app: ReceiverApp) -> AsyncIterator[Channel]:
    async with (
        LoopbackServer(app) as server,
        open_desk() as desk,
        open_channel(AppriseChannel.example(server.url), desk.equipment) as channel,
    ):
        yield channel


async def test_title_text_and_kind_go_to_the_service() -> None:
    app = ReceiverApp()
    async with open_service(app) as channel:
        await channel.send(NOTICE)
    said = app.received[0].json()
    assert (said["title"], said["type"]) == ("A customer waits", "warning")
    assert said["message"].startswith("Ada asks for an offer.")


async def test_a_refusal_is_a_failure_that_may_pass() -> None:
    app = ReceiverApp()
    app.always = Reply(403)
    async with open_service(app) as channel:
        with pytest.raises(ChannelError, match="could not send") as caught:
            await channel.send(NOTICE)
    assert not caught.value.permanent


@pytest.mark.parametrize("url", ["nosuch://x", "x", "json://"])
def test_addresses_that_apprise_does_not_know(url: str) -> None:
    with pytest.raises(ValidationError, match="no address that Apprise knows"):
        AppriseSettings.model_validate({"kind": "apprise", "name": "a", "url": url})
