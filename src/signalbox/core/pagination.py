"""Lists: a bare array, ``limit`` rows, and an opaque cursor to the next ones."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import unquote_plus

from signalbox.core.errors import InvalidError

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 500

_LONGEST_CURSOR = 100
_NO_CURSOR = "the cursor is not one of this list; take it unchanged from the Link header"


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
    if len(cursor) > _LONGEST_CURSOR:
        raise InvalidCursorError(_NO_CURSOR)
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        (position,) = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidCursorError(_NO_CURSOR) from error
    if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position < 2**63:
        raise InvalidCursorError(_NO_CURSOR)
    return position


def to_page(rows: Sequence[T], limit: int, position: Callable[[T], int]) -> Page[T]:
    """A page of at most ``limit`` of ``rows``; callers fetch ``limit + 1`` to learn whether more follow."""
    items = list(rows[:limit])
    following = encode_cursor(position(items[-1])) if len(rows) > limit and items else None
    return Page(items, following)


def next_link(path: str, query: str, cursor: str) -> str:
    """The ``Link`` header value to the next page: path and filters as they were spelt, with ``cursor`` replaced."""
    kept = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) != "cursor"]
    return f'<{path}?{"&".join([*kept, f"cursor={cursor}"])}>; rel="next"'
