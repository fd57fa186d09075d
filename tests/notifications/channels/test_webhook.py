import base64
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from pydantic import ValidationError

from signalbox.core.secrets import Secret
from signalbox.notifications.channels import ChannelError
from signalbox.notifications.channels.targets import PrivateTargetError
from signalbox.notifications.channels.webhook import WebhookChannel, WebhookSettings
from signalbox.sandbox.receiver import ReceiverApp
from signalbox.sandbox.scripted import Reply
from signalbox.sandbox.server import LoopbackServer
from tests.support.channels import NOTICE, open_channel, open_desk

OLD = "whsec_" + base64.b64encode(b"old key of the channel").decode()
NEW = "whsec_" + base64.b64encode(b"new key of the channel").decode()


@pytest.fixture
def app() -> ReceiverApp:
    return ReceiverApp([NEW])


@pytest.fixture
async def url(app: ReceiverApp) -> AsyncIterator[str]:
    async with LoopbackServer(app) as server:
        yield server.url


async def send(settings: WebhookSettings, *, to: str | None = None, allow_private_targets: bool = False) -> None:
    notice = NOTICE if to is None else replace(NOTICE, metadata={"callback": to})
    async with (
        open_desk(allow_private_targets=allow_private_targets) as desk,
        open_channel(settings, desk.equipment) as channel,
    ):
        await channel.send(notice)


def settings(**given: object) -> WebhookSettings:
    return WebhookSettings.model_validate({"kind": "webhook", "name": "w", **given})


async def test_an_event_is_signed_and_its_id_is_the_notices(app: ReceiverApp, url: str) -> None:
    await send(settings(url=url, secrets=[NEW]))
    assert app.ids == {"msg_0001": 1}
    (request,) = app.received
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.json()["id"] == "msg_0001"


async def test_with_two_secrets_the_receiver_may_have_either(app: ReceiverApp, url: str) -> None:
    await send(settings(url=url, secrets=[OLD, NEW]))
    assert app.forged == 0
    with pytest.raises(ChannelError) as caught:
        await send(settings(url=url, secrets=[OLD]))
    assert (app.forged, caught.value.status, caught.value.permanent) == (1, 401, False)


async def test_headers_of_the_settings_are_sent(app: ReceiverApp, url: str) -> None:
    await send(settings(url=url, secrets=[NEW], headers={"Authorization": "Bearer abc"}))
    assert app.received[0].headers["authorization"] == "Bearer abc"


async def test_a_key_in_a_header_is_masked_without_its_scheme(app: ReceiverApp, url: str) -> None:
    app.script(Reply(403, b"unknown key abcdef-123456"))
    with pytest.raises(ChannelError) as caught:
        await send(settings(url=url, headers={"Authorization": "Bearer abcdef-123456"}))
    assert caught.value.excerpt == "unknown key ********"


async def test_a_message_may_name_the_address_but_no_private_one(app: ReceiverApp, url: str) -> None:
    with pytest.raises(PrivateTargetError) as caught:
        await send(settings(url_from="callback", secrets=[NEW]), to=f"{url}/x")
    assert caught.value.permanent
    assert app.count == 0


async def test_an_address_from_a_message_never_gets_the_headers_of_the_settings(app: ReceiverApp, url: str) -> None:
    both = settings(
        url="https://a.example", url_from="callback", secrets=[NEW], headers={"Authorization": "Bearer abc"}
    )
    await send(both, to=f"{url}/x", allow_private_targets=True)
    (request,) = app.received
    assert request.path == "/x"
    assert "authorization" not in request.headers
    async with open_desk() as desk:
        channel = WebhookChannel(both, desk.equipment)
        target, headers = await channel._target({"callback": "https://8.8.8.8/x"})
    assert (target.origin.address, headers) == ("8.8.8.8", ())


async def test_a_message_without_an_address_goes_to_that_of_the_settings(app: ReceiverApp, url: str) -> None:
    await send(settings(url=url, url_from="callback", secrets=[NEW]))
    assert app.count == 1
    with pytest.raises(ChannelError, match="names no address") as caught:
        await send(settings(url_from="callback"))
    assert caught.value.permanent


@pytest.mark.parametrize("given", [17, "", "no address", "http://a b", "gopher://x"])
async def test_a_message_with_no_usable_address(given: object) -> None:
    async with (
        open_desk(allow_private_targets=True) as desk,
        open_channel(settings(url_from="callback"), desk.equipment) as channel,
    ):
        with pytest.raises(ChannelError) as caught:
            await channel.send(replace(NOTICE, metadata={"callback": given}))
    assert caught.value.permanent


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"url": "https://a.example", "secrets": ["whsec_***"]},
        {"url": "https://a.example", "headers": {"content-type": "text/plain"}},
        {"url": "https://a.example", "headers": {"X-Y": "a\r\nX-Z: b"}},
        {"url": "https://a.example", "headers": {"X Y": "a"}},
        {"url": "https://u:p@a.example"},
    ],
)
def test_settings_that_do_not_fit(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**given)


async def test_the_budget_is_that_of_the_configured_host_only() -> None:
    async with open_desk() as desk:
        one = WebhookChannel(settings(url="https://a.example/x"), desk.equipment)
        other = WebhookChannel(settings(url="https://a.example/x", url_from="callback"), desk.equipment)
    assert (one.host, other.host) == ("a.example", None)


def test_the_example_is_as_short_as_can_be() -> None:
    assert WebhookChannel.example("http://x").url == Secret("http://x/hooks/billing")


@pytest.mark.parametrize(
    ("status", "permanent", "disable"),
    [(401, False, False), (403, False, False), (404, True, False), (410, True, True)],
)
async def test_only_gone_ends_an_endpoint_and_denied_access_may_pass(
    app: ReceiverApp, url: str, status: int, *, permanent: bool, disable: bool
) -> None:
    app.always = Reply(status)
    with pytest.raises(ChannelError) as caught:
        await send(settings(url=url))
    assert (caught.value.permanent, caught.value.disable, caught.value.status) == (permanent, disable, status)
