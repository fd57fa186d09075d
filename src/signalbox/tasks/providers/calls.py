"""Calls to one provider: what all of them carry, how long they may take, how much of an answer is read."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

from signalbox.core.retry_after import find_retry_after
from signalbox.core.secrets import MASK, Secret
from signalbox.infra.clock import Clock
from signalbox.infra.http import ConnectError, HttpClientError, Request, Response, Timeouts, TooLateError, read_all
from signalbox.infra.http.recorded import RecordedClient
from signalbox.tasks.providers import PollFailedError, Receipt, SubmitRefusedError
from signalbox.tasks.providers.addresses import Address
from signalbox.tasks.providers.answers import AnswerReader
from signalbox.tasks.providers.messages import clean, complaint_of
from signalbox.tasks.providers.templates import Template, TemplateError, Words

SERVER_ERRORS: Final = frozenset(range(500, 600)) - {503}
"""Answers that say nothing of whether the server did something before it failed; 503 says that it did not begin."""

_OK: Final = range(200, 300)
_CLIENT_ERRORS: Final = range(400, 500)
_PASSING: Final = frozenset({408, 409, 425, 429})
"""Of the answers from 400 to 499 those after which the same call may succeed later."""
_TOO_MANY: Final = 429
_GONE: Final = frozenset({404, 410})

_COMPLAINT: Final = 65_536
"""Bytes of an error answer that are read."""

_TELLING: Final = 4
"""Characters from which on a secret is looked for in messages: a shorter one would be found in plain words."""

_STANDARD: Final = {b"accept": b"application/json", b"user-agent": b"signalbox"}


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    """Of an error answer only its beginning."""
    retry_after: float | None
    """Seconds that the server wants to be left alone for."""


class Caller:
    """Calls the provider ``name``; ``most`` bounds answers, in bytes.

    Raises:
        UnreadableSecretError: a secret is not where the settings say.
        TemplateError: a header cannot be filled in.
    """

    def __init__(
        self,
        name: str,
        *,
        outbound: RecordedClient,
        clock: Clock,
        headers: Mapping[str, Template],
        secrets: Mapping[str, Secret],
        timeouts: Timeouts,
        most: int,
    ) -> None:
        self._service = f"provider:{name}"
        self._outbound, self._clock, self._timeouts, self._most = outbound, clock, timeouts, most
        self.secrets = {each: secret.reveal() for each, secret in secrets.items()}
        """What ``{secret.x}`` stands for."""
        self._headers = {**_STANDARD, **filled(headers, {"secret": self.secrets})}

    async def submit(
        self,
        method: str,
        address: Address,
        words: Words,
        *,
        headers: Mapping[bytes, bytes],
        body: bytes,
        unclear: Collection[int] = SERVER_ERRORS,
        send_by: float | None = None,
    ) -> Answer:
        """Hand a task over; the answer is one of success.

        Raises:
            SubmitRefusedError: anything else; ``sent`` after the statuses ``unclear``, and where the answer was lost.
            TooLateError: there was no connection before ``send_by``; nothing was sent.
        """
        try:
            answer = await self.call(
                method, address, words, route="submit", headers=headers, body=body, send_by=send_by
            )
        except TooLateError:
            raise
        except TemplateError as error:
            raise SubmitRefusedError(str(error), permanent=True, sent=False) from error
        except HttpClientError as error:
            raise SubmitRefusedError(str(error), permanent=False, sent=not isinstance(error, ConnectError)) from error
        if answer.status in _OK:
            return answer
        permanent = answer.status in _CLIENT_ERRORS and answer.status not in _PASSING
        raise SubmitRefusedError(
            self.complaint(answer),
            permanent=permanent,
            retry_after=answer.retry_after,
            too_many=answer.status == _TOO_MANY,
            sent=answer.status in unclear,
        )

    async def ask(
        self, address: Address, words: Words, *, route: str, may_lack: bool = False, send_by: float | None = None
    ) -> Answer | None:
        """Ask for something; the answer is one of success, or None where it ``may_lack`` and is not there.

        Raises:
            PollFailedError: anything else.
            TooLateError: there was no connection before ``send_by``; nothing was sent.
        """
        try:
            answer = await self.call("GET", address, words, route=route, send_by=send_by)
        except TooLateError:
            raise
        except (TemplateError, HttpClientError) as error:
            raise PollFailedError(str(error)) from error
        if answer.status in _OK:
            return answer
        if may_lack and answer.status in _GONE:
            return None
        msg = f"{answer.status}: {self.complaint(answer)}"
        raise PollFailedError(msg, retry_after=answer.retry_after, too_many=answer.status == _TOO_MANY)

    def receipt(self, reader: AnswerReader, answer: Answer) -> Receipt:
        """What the answer to a submission says.

        Raises:
            SubmitRefusedError: it cannot be read, so that nobody knows what became of the task.
        """
        try:
            return reader.receipt(answer.body)
        except PollFailedError as error:
            raise SubmitRefusedError(self.masked(str(error)), permanent=False, sent=True) from error

    @contextmanager
    def masking(self) -> Iterator[None]:
        """Mask secrets in what ``AnswerReader`` says of answers that it cannot read."""
        try:
            yield
        except PollFailedError as error:
            raise PollFailedError(self.masked(str(error))) from error

    async def call(
        self,
        method: str,
        address: Address,
        words: Words,
        *,
        route: str,
        headers: Mapping[bytes, bytes] | None = None,
        body: bytes = b"",
        send_by: float | None = None,
    ) -> Answer:
        """Make a call, and read its answer.

        Raises:
            TemplateError: the address cannot be filled in; nothing was sent.
            HttpClientError: there was no whole answer, or it is too large; ``ConnectError``: nothing was sent.
        """
        request = Request(
            address.origin,
            method.encode("ascii"),
            address.target({**words, "secret": self.secrets}),
            list({**self._headers, **(headers or {})}.items()),
            body,
            timeouts=self._timeouts,
            send_by=send_by,
        )
        response = await self._outbound.send(request, service=self._service, route=route)
        retry_after = find_retry_after(response.headers, now=self._clock.now())
        read = await read_all(response, self._most) if response.status in _OK else await _beginning(response)
        return Answer(response.status, read, retry_after)

    def complaint(self, answer: Answer) -> str:
        """What the provider says in an answer of an error, no secret of ours in it."""
        return self.masked(complaint_of(answer.body) or f"the provider answered {answer.status}")

    def masked(self, text: str) -> str:
        """The text, every secret in it masked: servers like to repeat what they refuse."""
        for secret in self.secrets.values():
            text = text.replace(secret, MASK) if len(secret) >= _TELLING else text
        return clean(text)


def filled(headers: Mapping[str, Template], words: Words) -> dict[bytes, bytes]:
    """Headers ready to be sent.

    Raises:
        TemplateError: a word is missing, or has what may not stand in a header.
    """
    return {name.lower().encode("ascii"): template.header(words) for name, template in headers.items()}


async def _beginning(response: Response) -> bytes:
    """As much of an error answer as makes a sentence; one that breaks off is an answer nevertheless."""
    pieces = []
    size = 0
    try:
        while size < _COMPLAINT and (piece := await response.read()):
            pieces.append(piece)
            size += len(piece)
    except HttpClientError:
        pass
    response.close()
    return b"".join(pieces)[:_COMPLAINT]
