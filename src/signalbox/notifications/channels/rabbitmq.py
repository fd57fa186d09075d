"""RabbitMQ: each notice is published to an exchange as a CloudEvent, its topic as the routing key."""

from importlib.util import find_spec
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from signalbox.core.secrets import Secret
from signalbox.notifications.channels import ChannelSettings, Equipment, Notice, Sent
from signalbox.notifications.channels.cloudevents import CONTENT_TYPE, to_event
from signalbox.notifications.channels.markup import refuse_oversize

MAX_TEXT = 200_000


def _check_url(secret: Secret) -> Secret:
    try:
        parts = urlsplit(secret.reveal())
        usable = parts.scheme in {"amqp", "amqps"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        msg = "is no address of RabbitMQ; write it as amqp://user:password@host:5672/vhost, or amqps:// for TLS"
        raise ValueError(msg)
    if find_spec("aio_pika") is None:
        msg = "needs the client of RabbitMQ, which is not installed; install signalbox[rabbitmq]"
        raise ValueError(msg)
    return secret


class RabbitmqSettings(ChannelSettings):
    """An exchange of RabbitMQ."""

    kind: Literal["rabbitmq"]
    url: Annotated[Secret, AfterValidator(_check_url)]
    """``amqp://user:password@host:5672/vhost``, or ``amqps://`` for TLS."""
    exchange: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,127}$")] = "amq.topic"
    """Its name; it must be there."""
    routing_key: Annotated[str, Field(pattern=r"^[!-~]{1,255}$")] | None = None
    """Unset: the notice's topic."""
    source: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")] = "/signalbox"
    """The event's ``source``, a URI that tells this hub from others."""


class RabbitmqChannel:
    """Publishes persistent messages and waits for the broker's confirmation; one that no queue takes has failed."""

    settings_model = RabbitmqSettings

    def __init__(self, settings: RabbitmqSettings, equipment: Equipment) -> None:
        from signalbox.notifications.amqp import Link  # noqa: PLC0415 - an extra, needed by those who set it

        del equipment  # what it lends is for HTTP
        url = settings.url.reveal()
        self.name, self.rate, self.host = settings.name, settings.rate, urlsplit(url).hostname
        self.max_length: int | None = MAX_TEXT
        self._settings = settings
        self._link = Link(url, exchange=settings.exchange, timeout=settings.timeout)

    @classmethod
    def example(cls, url: str) -> RabbitmqSettings:
        """The least that does."""
        return RabbitmqSettings(kind="rabbitmq", name="bus", url=Secret(url))

    async def send(self, notice: Notice) -> Sent:
        """Publish the notice; the message's id is the notice's.

        Raises:
            ChannelError: no queue has it, or nobody knows.
        """
        refuse_oversize(notice, MAX_TEXT)
        await self._link.publish(
            notice,
            to_event(notice, source=self._settings.source),
            routing_key=self._settings.routing_key or notice.topic,
            content_type=CONTENT_TYPE,
        )
        return Sent(notice.id, None, "confirmed")

    async def close(self) -> None:
        """Give the connection back."""
        await self._link.close()
