"""What an ask says besides who asks: ``since``, ``wait``, ``If-None-Match``, ``Last-Event-ID``."""

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from signalbox.auth.principal import Principal
from signalbox.criticality.errors import InvalidQueryError

LARGEST = 2**63


def consumer_name(principal: Principal) -> str:
    """What a caller is known by as a consumer or a producer: the app, or who it is where no app token was used."""
    return principal.app or principal.actor


def parse_query(query: bytes, allowed: Iterable[str]) -> dict[str, str]:
    """The parameters of a query.

    Raises:
        InvalidQueryError: one is unknown, or stands there twice.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in allowed:
            msg = f"is not known here; known are {', '.join(allowed)}"
            raise InvalidQueryError(msg, field=name)
        if name in found:
            msg = "stands there twice"
            raise InvalidQueryError(msg, field=name)
        found[name] = value
    return found


def to_revision(query: Mapping[str, str]) -> int | None:
    """The revision in ``since``.

    Raises:
        InvalidQueryError: it is none.
    """
    text = query.get("since")
    if text is None:
        return None
    revision = _number(text)
    if revision is None:
        msg = "is the number of a revision, 0 for none"
        raise InvalidQueryError(msg, field="since")
    return revision


def to_wait(query: Mapping[str, str], *, most: float) -> float:
    """Seconds in ``wait``, at most ``most``; 0 without.

    Raises:
        InvalidQueryError: it is no number of seconds.
    """
    text = query.get("wait")
    if text is None:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        msg = "is a number of seconds from 0 on"
        raise InvalidQueryError(msg, field="wait")
    return min(seconds, most)


def find_header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """The value of a header, several joined by commas; None where it is missing."""
    values = [value for name, value in headers if name == wanted]
    return b", ".join(values) if values else None


def to_etags(value: bytes) -> tuple[bool, int]:
    """Whether ``If-None-Match`` says ``*``, and the newest revision among its tags, 0 where there is none.

    Tags of others are passed over: they are of nothing that this hub has given.
    """
    tags = [tag.strip().removeprefix(b"W/").strip(b'"') for tag in value.split(b",")]
    numbers = [_number(tag.decode("latin-1")) or 0 for tag in tags]
    return b"*" in tags, max(numbers, default=0)


def to_last_event(value: bytes | None) -> int | None:
    """The revision in ``Last-Event-ID``; 0 where it is something else, so that the reader hears what is current."""
    return None if value is None else _number(value.decode("latin-1")) or 0


def _number(text: str) -> int | None:
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(LARGEST)):
        return None
    number = int(text)
    return number if number < LARGEST else None
