"""One POST to a provider, bounded in time and size, and what its answer means where the provider does not say more."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from signalbox.core.logging import MASK
from signalbox.core.retry_after import find_retry_after
from signalbox.infra.http import Headers, HttpClientError, Request, Response, ResponseTimeoutError, Timeouts
from signalbox.infra.http.recorded import RecordedClient
from signalbox.notifications.channels import MAX_EXCERPT, ChannelError, Sent
from signalbox.notifications.channels.markup import one_line
from signalbox.notifications.channels.targets import Target

MAX_ANSWER = 64 * 1024
MIN_SECRET = 6
"""Characters from which on a secret is sought in answers: shorter ones would mask ordinary words."""

_CONNECT_TIMEOUT = 5.0
_AGAIN = frozenset({408, 425, 429})


class Answer(NamedTuple):
    """What a provider answered."""

    status: int
    body: bytes
    """Its first 64 KiB."""
    retry_after: float | None
    """Seconds."""
    excerpt: str
    """The beginning of the body as one line, secrets masked."""

    @property
    def is_success(self) -> bool:
        """Whether the status is one of 200 to 299."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


@dataclass(frozen=True)
class Poster:
    """Sends the calls of one channel."""

    outbound: RecordedClient
    channel: str
    kind: str
    timeout: float
    """Seconds for the whole call."""
    path: str
    """What statistics show as the path; the real one often holds a secret."""
    secrets: Sequence[str] = ()
    """What must not show in an excerpt."""

    async def __call__(self, target: Target, body: bytes, *, headers: Headers = ()) -> Answer:
        """POST a body and read the answer.

        Raises:
            ChannelError: there was no answer, or not in time; nobody knows whether the body has arrived.
        """
        timeouts = Timeouts(connect=min(_CONNECT_TIMEOUT, self.timeout), read=self.timeout, total=self.timeout)
        request = Request(target.origin, b"POST", target.path, headers, body, timeouts=timeouts)
        try:
            response = await self.outbound.send(
                request, service=f"channel:{self.channel}", route=self.kind, path=self.path
            )
            return await self._read(response)
        except HttpClientError as error:
            late = isinstance(error, ResponseTimeoutError)
            msg = f"{target.origin.host} did not answer in time" if late else self.mask(str(error))
            raise ChannelError(msg) from error

    def mask(self, text: str) -> str:
        """The text without the channel's secrets, as one line."""
        for secret in self.secrets:
            if len(secret) >= MIN_SECRET:
                text = text.replace(secret, MASK)
        return one_line(text, MAX_EXCERPT)

    async def _read(self, response: Response) -> Answer:
        body = await _beginning(response)
        wait = find_retry_after(response.headers, now=self.outbound.clock.now())
        text = body[: 4 * MAX_EXCERPT].decode("utf-8", "replace")
        return Answer(response.status, body, wait, self.mask(text))


def sent(answer: Answer, *, provider_id: str | None = None) -> Sent:
    """What a successful answer says."""
    return Sent(provider_id, answer.status, answer.excerpt)


def check_status(answer: Answer) -> None:
    """What the status of an answer says, unless the provider is known to say more.

    408, 425, 429 and all from 500 on may pass. 410 says that the address is gone for good. The rest, redirects
    included, would be the same the next time.

    Raises:
        ChannelError: the status is no success.
    """
    if answer.is_success:
        return
    status = answer.status
    if status in _AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise refusal(answer, f"the answer was {status}")
    if status == HTTPStatus.GONE:
        raise refusal(answer, "the address is gone (410)", disable=True)
    moved = ", a redirect, which is not followed" if status < HTTPStatus.BAD_REQUEST else ""
    raise refusal(answer, f"the answer was {status}{moved}", permanent=True)


def refusal(answer: Answer, message: str, *, permanent: bool = False, disable: bool = False) -> ChannelError:
    """The error that an answer stands for."""
    return ChannelError(
        message,
        permanent=permanent,
        disable=disable,
        retry_after=answer.retry_after,
        status=answer.status,
        excerpt=answer.excerpt,
    )


async def _beginning(response: Response) -> bytes:
    """As much of a body as is kept; the rest is not waited for."""
    body = response.whole()
    if body is not None:
        return body[:MAX_ANSWER]
    pieces: list[bytes] = []
    size = 0
    try:
        while size < MAX_ANSWER and (piece := await response.read()):
            pieces.append(piece)
            size += len(piece)
    finally:
        response.close()
    return b"".join(pieces)[:MAX_ANSWER]
