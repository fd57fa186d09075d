"""A request that says by a key of its own which other requests are the same one, sent again.

As in draft-ietf-httpapi-idempotency-key-header-07, with the key as it was sent: quoted or not.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from signalbox.core.errors import ConflictError, Fault, InvalidError, RetryableError, UnprocessableError

HEADER = "Idempotency-Key"
REPLAYED = (b"idempotent-replayed", b"true")
"""Header of an answer that was given before."""

_NAME = HEADER.lower().encode()
_KEY = re.compile(rb"[ -~]{1,255}")


class InvalidIdempotencyKeyError(InvalidError):
    """The header Idempotency-Key holds no key."""

    code = "invalid_idempotency_key"


class IdempotencyMismatchError(UnprocessableError):
    """The key was used for another request."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__([Fault(HEADER, "was used before, for a request with another path or body")])


class IdempotencyInFlightError(ConflictError, RetryableError):
    """The first request with this key has not ended yet."""

    code = "idempotency_key_in_flight"

    def __init__(self) -> None:
        RetryableError.__init__(self, "the first request with this Idempotency-Key has not ended yet")


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with a key, as the ledger knows it."""

    caller: str
    """Who asks, such as ``app:shop``: callers do not share keys."""
    operation: str
    """Method and path template, such as ``POST /api/tasks``: operations do not share keys."""
    key: str
    digest: bytes
    """SHA-256 of what is asked."""


def find_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key among ASGI headers (names in lower case); None where there is none.

    Raises:
        InvalidIdempotencyKeyError: it is not 1 to 255 printable ASCII characters, or there are several.
    """
    found = [value for name, value in headers if name == _NAME]
    if not found:
        return None
    if len(found) > 1 or _KEY.fullmatch(found[0]) is None:
        msg = f"the header {HEADER} holds one key of 1 to 255 printable ASCII characters"
        raise InvalidIdempotencyKeyError(msg)
    return found[0].decode()


def keyed(
    headers: Iterable[tuple[bytes, bytes]], *, caller: str, method: str, template: str, target: bytes, body: bytes
) -> KeyedRequest | None:
    """The request for the ledger; None where it has no key.

    ``template`` is the operation's path, ``target`` the path and query that were asked.

    Raises:
        InvalidIdempotencyKeyError: as ``find_key``.
    """
    key = find_key(headers)
    if key is None:
        return None
    digest = hashlib.sha256(b"%b %b\n%b" % (method.encode(), target, body)).digest()
    return KeyedRequest(caller, f"{method} {template}", key, digest)
