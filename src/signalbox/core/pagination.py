"""Lists: a bare array, ``limit`` rows, and an opaque cursor to the next ones."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import parse_qsl, urlencode

from signalbox.core.errors import InvalidError

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 500


class InvalidCursorError(InvalidError):
    """The cursor was not made by this list."""

    code = "invalid_cursor"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; ``next_cursor`` is None on the last."""

    items: list[T]
    next_cursor: str | None


def encode_cursor(position: int) -> str:
    """An opaque cursor that stands behind the row with this id."""
    return base64.urlsafe_b64encode(json.dumps([position]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> int:
    """The row id that a cursor stands behind.

    Raises:
        InvalidCursorError: the text is no cursor.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        (position,) = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        msg = "the cursor is not one of this list; take it unchanged from the Link header"
        raise InvalidCursorError(msg) from error
    if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position < 2**63:
        msg = "the cursor is not one of this list; take it unchanged from the Link header"
        raise InvalidCursorError(msg)
    return position


def to_page(rows: Sequence[T], limit: int, position: Callable[[T], int]) -> Page[T]:
    """A page of at most ``limit`` of ``rows``; callers fetch ``limit + 1`` to learn whether more follow."""
    items = list(rows[:limit])
    following = encode_cursor(position(items[-1])) if len(rows) > limit and items else None
    return Page(items, following)


def next_link(path: str, query: str, cursor: str) -> str:
    """The ``Link`` header value to the next page: the same path and filters, with ``cursor`` replaced."""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "cursor"]
    return f'<{path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'
