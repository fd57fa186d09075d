"""What the gateway's cache holds under a key, and how it is given out."""

from typing import Any

import msgspec

from signalbox.core.times import MICROSECONDS
from signalbox.gateway.cache_control import Header, by_name
from signalbox.gateway.cache_rules import OK, Terms, is_not_modified, not_modified_headers
from signalbox.infra.http import Detached

NAME = b"signalbox"
"""The cache's name in ``Cache-Status`` (RFC 9211)."""

_BYTES = 33
"""What a bytes object takes besides its bytes, on CPython; then a header's tuple, and an entry's own parts."""
_HEADER = 2 * _BYTES + 56 + 16
_ENTRY = 1_050


class Entry(msgspec.Struct, array_like=True, tag=1, eq=False):
    """A stored answer."""

    status: int
    headers: list[Header]
    """End-to-end only, without ``Age``; ready to be sent but for what is told of each answer."""
    body: bytes
    terms: Terms
    selector: bytes
    """What a request must have in common with the one that was answered; see ``cache_rules.selector``."""
    said: list[Header] = []
    """``headers`` with ``Age`` and ``Cache-Status``, as given from ``said_from`` until just before ``said_until``: an
    answer that is asked for often is put together once a second."""
    said_from: int = 0
    said_until: int = 0

    def hit(self, now: int) -> list[Header]:
        """The headers of a hit; not to be changed."""
        if self.said_from <= now < self.said_until:
            return self.said
        terms = self.terms
        age = max(0, now - terms.born) // MICROSECONDS
        self.said_from = max(now, terms.born)
        self.said_until = terms.born + (age + 1) * MICROSECONDS
        ttl = (terms.fresh_until - now) // MICROSECONDS
        self.said = [*self.headers, (b"age", b"%d" % age), (b"cache-status", b"%b; hit; ttl=%d" % (NAME, ttl))]
        return self.said

    def told(self, now: int, status: bytes) -> list[Header]:
        """The headers with the present age and a ``Cache-Status`` of their own."""
        age = max(0, now - self.terms.born) // MICROSECONDS
        return [*self.headers, (b"age", b"%d" % age), (b"cache-status", status)]


class Varies(msgspec.Struct, array_like=True, tag=2, eq=False):
    """Says that the answers to a target differ by request headers, and lie under keys of their own."""

    names: tuple[bytes, ...]
    """The headers, as ``cache_rules.vary_names`` gives them."""
    generation: bytes
    """Part of those keys: without this record, or with a new one, they are out of reach."""


Record = Entry | Varies

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Entry | Varies)


class RecordCodec:
    """The ``infra.cache.Codec`` of records: MessagePack."""

    def encode(self, value: Record) -> bytes:
        """The record without what is put together anew anyway."""
        if isinstance(value, Entry) and value.said:
            value = msgspec.structs.replace(value, said=[], said_from=0, said_until=0)
        return _encoder.encode(value)

    def decode(self, data: bytes) -> Record:
        """See ``Codec.decode``.

        Raises:
            ValueError: the bytes are no record of this version.
        """
        record: Record = _decoder.decode(data)
        return record

    def size(self, value: Record) -> int:
        """About how many bytes of memory the record holds."""
        if isinstance(value, Varies):
            return _ENTRY + sum(len(name) + _BYTES for name in value.names)
        headers = sum(len(name) + len(text) + _HEADER for name, text in value.headers)
        return _ENTRY + headers + len(value.body) + len(value.selector)


class StoredAnswer:
    """An ``infra.http.Response`` out of the cache: whole at once."""

    __slots__ = ("_body", "headers", "status")

    stored = True
    """Whether its headers are fit for the client but for the request id."""

    def __init__(self, status: int, headers: list[Header], body: bytes) -> None:
        self.status, self.headers, self._body = status, headers, body

    def whole(self) -> bytes:
        """The body."""
        return self._body

    async def read(self) -> bytes:
        """The body, then nothing."""
        body, self._body = self._body, b""
        return body

    def detach(self) -> Detached:
        """Never called: no answer with 101 is stored.

        Raises:
            RuntimeError: it was called.
        """
        msg = "an answer out of the cache has no connection"
        raise RuntimeError(msg)

    def close(self) -> None:
        """Nothing is held."""


def answer_from(entry: Entry, headers: list[Header], *, head: bool, asked: list[Header], now: int) -> StoredAnswer:
    """The answer to a request out of an entry: without a body to HEAD, and a 304 where the client holds it already.

    ``headers`` are those to be given, ``asked`` those of the request.
    """
    if entry.status == OK and is_not_modified(by_name(asked), by_name(entry.headers), now=now):
        return StoredAnswer(304, not_modified_headers(headers), b"")
    return StoredAnswer(entry.status, headers, b"" if head else entry.body)
