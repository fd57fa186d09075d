"""Webhooks: each notice is POSTed as a CloudEvent, signed as Standard Webhooks has it."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from signalbox.core.secrets import Secret
from signalbox.core.times import MICROSECONDS
from signalbox.infra.http import Headers
from signalbox.notifications.channels import ChannelError, ChannelSettings, Equipment, Notice, Sent
from signalbox.notifications.channels.cloudevents import CONTENT_TYPE, to_event
from signalbox.notifications.channels.markup import refuse_oversize
from signalbox.notifications.channels.post import Poster, check_status, refusal, sent
from signalbox.notifications.channels.signatures import signature_headers, signing_key
from signalbox.notifications.channels.targets import (
    SecretUrl,
    Target,
    named_target,
    parse_target,
    public_target,
    secret_parts,
)

MAX_TEXT = 200_000

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")]
_TAKEN = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade"}
    | {"webhook-id", "webhook-timestamp", "webhook-signature"}
)
_DENIED = frozenset({401, 403})


def _check_key(secret: Secret) -> Secret:
    signing_key(secret.reveal())
    return secret


def _check_headers(headers: dict[str, Secret]) -> dict[str, Secret]:
    for name, value in headers.items():
        text = value.reveal()
        if name.lower() in _TAKEN:
            msg = f"{name} is set by the channel itself"
            raise ValueError(msg)
        if not (text.isascii() and text.isprintable()):
            msg = f"the value of {name} is printable ASCII"
            raise ValueError(msg)
    return headers


class WebhookSettings(ChannelSettings):
    """An address that takes CloudEvents."""

    kind: Literal["webhook"]
    url: SecretUrl | None = None
    """Where notices go."""
    url_from: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """A metadata field; the address in it is where a message that has one goes, instead of ``url``."""
    secrets: Annotated[tuple[Annotated[Secret, AfterValidator(_check_key)], ...], Field(max_length=5)] = ()
    """Sign each notice, with every one of them: ``whsec_`` and base64, or any text. Two while one replaces the other."""
    headers: Annotated[dict[HeaderName, Secret], AfterValidator(_check_headers)] = Field(default_factory=dict)
    """Sent to ``url``, such as ``Authorization``; never to an address that came with a message."""
    source: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")] = "/signalbox"
    """The event's ``source``, a URI that tells this hub from others."""

    @model_validator(mode="after")
    def _some_target(self) -> "WebhookSettings":
        if self.url is None and self.url_from is None:
            msg = "set url, or url_from where messages name the address"
            raise ValueError(msg)
        return self


class WebhookChannel:
    """Sends to an address of the settings, or to one that the message names."""

    settings_model = WebhookSettings

    def __init__(self, settings: WebhookSettings, equipment: Equipment) -> None:
        self.name, self.rate = settings.name, settings.rate
        self.max_length: int | None = MAX_TEXT
        self._settings, self._equipment = settings, equipment
        self._url = None if settings.url is None else parse_target(settings.url.reveal())
        self.host = None if self._url is None or settings.url_from else self._url.origin.host
        secrets = [secret.reveal() for secret in settings.secrets]
        self._keys = [signing_key(secret) for secret in secrets]
        self._headers = [(name.lower().encode(), value.reveal().encode()) for name, value in settings.headers.items()]
        hidden = [*secrets, *(word for _, value in self._headers for word in value.decode().split())]
        if self._url is not None:
            hidden += secret_parts(self._url)
        self._post = Poster(equipment.outbound, settings.name, "webhook", settings.timeout, "/", hidden)

    @classmethod
    def example(cls, url: str) -> WebhookSettings:
        """The least that does."""
        return WebhookSettings(kind="webhook", name="billing", url=Secret(f"{url}/hooks/billing"))

    async def send(self, notice: Notice) -> Sent:
        """POST the notice as an event.

        Raises:
            ChannelError: the answer was not one of 200 to 299; 410 says that the address is gone. 401 and 403 may pass:
                receivers expect that whatever is no success is tried again, and only 410 ends an endpoint.
        """
        refuse_oversize(notice, MAX_TEXT)
        target, headers = await self._target(notice.metadata)
        body = to_event(notice, source=self._settings.source)
        now = self._equipment.outbound.clock.now() // MICROSECONDS
        signed = signature_headers(self._keys, webhook_id=notice.id, timestamp=now, body=body)
        kind = (b"content-type", CONTENT_TYPE.encode())
        answer = await self._post(target, body, headers=[kind, *signed, *headers])
        if answer.status in _DENIED:
            raise refusal(answer, f"the receiver denies access with {answer.status}: see its secrets and headers")
        check_status(answer)
        return sent(answer)

    async def close(self) -> None:
        """Nothing is held."""

    async def _target(self, metadata: Mapping[str, object]) -> tuple[Target, Headers]:
        named = metadata.get(self._settings.url_from) if self._settings.url_from else None
        if named is None and self._url is not None:
            return self._url, self._headers
        if not isinstance(named, str):
            msg = f"the message names no address in its metadata field {self._settings.url_from!r}"
            raise ChannelError(msg, permanent=True)
        if self._equipment.allow_private_targets:
            return named_target(named), ()
        return await public_target(named), ()
