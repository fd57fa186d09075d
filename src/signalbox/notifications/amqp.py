"""A link to RabbitMQ that is made when it is needed and again after it broke. Imports aio-pika, an extra."""

import asyncio

from aio_pika import DeliveryMode, Message, connect
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AuthenticationError,
    ChannelNotFoundEntity,
    DeliveryError,
    ProbableAuthenticationError,
    PublishError,
)

from signalbox.core.times import to_datetime
from signalbox.notifications.channels import ChannelError, Notice


class Link:
    """Publishes to one exchange, confirmed by the broker."""

    def __init__(self, url: str, *, exchange: str, timeout: float) -> None:
        self._url, self._name, self._timeout = url, exchange, timeout
        self._lock = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None

    async def publish(self, notice: Notice, body: bytes, *, routing_key: str, content_type: str) -> None:
        """Publish and wait until the broker has written it to at least one queue.

        Raises:
            ChannelError: it has not, or nobody knows.
        """
        message = Message(
            body,
            content_type=content_type,
            message_id=notice.id,
            type=notice.topic,
            timestamp=to_datetime(notice.created_at),
            delivery_mode=DeliveryMode.PERSISTENT,
        )
        try:
            async with asyncio.timeout(self._timeout):
                await (await self._open()).publish(message, routing_key, mandatory=True)
        except TimeoutError as error:
            await self.close()
            msg = "the broker did not confirm in time"
            raise ChannelError(msg) from error
        except PublishError as error:
            msg = f"no queue takes the routing key {routing_key} from the exchange {self._name}"
            raise ChannelError(msg) from error
        except DeliveryError as error:
            msg = "the broker refused the message"
            raise ChannelError(msg) from error
        except CONNECTION_EXCEPTIONS as error:
            await self.close()
            raise self._failure(error) from error

    async def close(self) -> None:
        """Give the connection back; the next ``publish`` makes another."""
        connection, self._connection = self._connection, None
        self._channel = self._exchange = None
        if connection is not None:
            await connection.close()

    async def _open(self) -> AbstractExchange:
        async with self._lock:
            if self._exchange is None or self._channel is None or self._channel.is_closed:
                await self.close()
                self._connection = await connect(self._url)
                self._channel = await self._connection.channel(on_return_raises=True)
                self._exchange = await self._channel.get_exchange(self._name, ensure=False)
            return self._exchange

    def _failure(self, error: BaseException) -> ChannelError:
        # What the library says may hold the address with its password.
        if isinstance(error, AuthenticationError | ProbableAuthenticationError):
            return ChannelError("the broker refused the sign-on", disable=True)
        if isinstance(error, ChannelNotFoundEntity):
            return ChannelError(f"the broker has no exchange {self._name}")
        return ChannelError(f"no connection to the broker ({type(error).__name__})")
