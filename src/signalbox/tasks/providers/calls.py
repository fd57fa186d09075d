"""Calls to one provider: what all of them carry, how long they may take, how much of an answer is read."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from signalbox.core.retry_after import find_retry_after
from signalbox.core.secrets import MASK, Secret
from signalbox.infra.clock import Clock
from signalbox.infra.http import HttpClientError, Request, Response, Timeouts, read_all
from signalbox.infra.http.recorded import RecordedClient
from signalbox.tasks.providers.addresses import Address
from signalbox.tasks.providers.messages import clean, complaint_of
from signalbox.tasks.providers.templates import Template, Words

OK: Final = range(200, 300)

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

    async def call(
        self,
        method: str,
        address: Address,
        words: Words,
        *,
        route: str,
        headers: Mapping[bytes, bytes] | None = None,
        body: bytes = b"",
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
        )
        response = await self._outbound.send(request, service=self._service, route=route)
        retry_after = find_retry_after(response.headers, now=self._clock.now())
        read = await read_all(response, self._most) if response.status in OK else await _beginning(response)
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
