"""What HTTP messages say to caches: the directives of ``Cache-Control`` (RFC 9111, 5.2) and dates (RFC 9110, 5.6.7).

What is unclear is taken in the stricter sense: rather not stored, rather asked for again.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from typing import NamedTuple

from signalbox.core.times import DAY, MICROSECONDS, to_datetime, to_micros

Header = tuple[bytes, bytes]
Fields = Mapping[bytes, Sequence[bytes]]
"""The values of each header, names in lower case."""

FOREVER = 2**31
"""Seconds: what is longer counts as this (RFC 9111, 1.2.2)."""

_FOREVER = b"%d" % FOREVER
_LONGEST = 8_192
"""Bytes of a ``Cache-Control`` that is read; a longer one counts as ``no-store``."""
_DIRECTIVE = re.compile(
    rb"""(?:\A|,)[\t ]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?[^,]*""", re.DOTALL
)
"""A name, and after ``=`` a quoted or a plain value; linear in time, whatever it reads."""
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_SECONDS = re.compile(rb"[0-9]+")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")


class Directives(NamedTuple):
    """What the ``Cache-Control`` of a request or an answer says (RFC 9111, 5.2; RFC 5861). Spans are in seconds."""

    no_store: bool = False
    no_cache: bool = False
    private: bool = False
    public: bool = False
    must_revalidate: bool = False
    """``must-revalidate`` or ``proxy-revalidate``."""
    must_understand: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    s_maxage: int | None = None
    min_fresh: int | None = None
    max_stale: int | None = None
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None
    withheld: frozenset[bytes] = frozenset()
    """Headers that ``private`` and ``no-cache`` name: the rest of the answer may be kept."""


NOTHING = Directives()
_UNREADABLE = Directives(no_store=True)


def parse_directives(values: Sequence[bytes]) -> Directives:
    """What ``Cache-Control`` lines say together; never raises.

    Unknown directives are passed over. Of several values the strictest holds, and one that is no number counts as the
    strictest there is.
    """
    if not values:
        return NOTHING
    text = values[0] if len(values) == 1 else b",".join(values)
    return _UNREADABLE if len(text) > _LONGEST else _parse(text)


@functools.lru_cache(maxsize=1_024)
def _parse(text: bytes) -> Directives:
    said: dict[bytes, list[bytes | None]] = {}
    for match in _DIRECTIVE.finditer(text):
        quoted, plain = match[2], match[3]
        said.setdefault(match[1].lower(), []).append(plain if quoted is None else _ESCAPED.sub(rb"\1", quoted))
    private, no_cache = _names(said.get(b"private", ())), _names(said.get(b"no-cache", ()))
    return Directives(
        no_store=b"no-store" in said,
        no_cache=no_cache is not None and not no_cache,
        private=private is not None and not private,
        public=b"public" in said,
        must_revalidate=b"must-revalidate" in said or b"proxy-revalidate" in said,
        must_understand=b"must-understand" in said,
        only_if_cached=b"only-if-cached" in said,
        max_age=_least(said.get(b"max-age")),
        s_maxage=_least(said.get(b"s-maxage")),
        min_fresh=_most(said.get(b"min-fresh")),
        max_stale=_least([_FOREVER if value is None else value for value in said.get(b"max-stale", ())]),
        stale_while_revalidate=_least(said.get(b"stale-while-revalidate")),
        stale_if_error=_least(said.get(b"stale-if-error")),
        withheld=(private or frozenset()) | (no_cache or frozenset()),
    )


def _names(arguments: Sequence[bytes | None]) -> frozenset[bytes] | None:
    """The headers that a directive names: None where it is not said, empty where it is about the whole answer."""
    if not arguments:
        return None
    named: set[bytes] = set()
    for argument in arguments:
        names = [name.strip().lower() for name in (argument or b"").split(b",")]
        if not all(_TOKEN.fullmatch(name) for name in names):
            return frozenset()
        named.update(names)
    return frozenset(named)


def parse_seconds(value: bytes | None) -> int | None:
    """A number of seconds (RFC 9111, 1.2.2), at most ``FOREVER``; None where it is none."""
    if value is None or _SECONDS.fullmatch(value) is None:
        return None
    digits = value.lstrip(b"0")
    return min(int(digits or b"0"), FOREVER) if len(digits) <= len(_FOREVER) else FOREVER


def _least(values: Sequence[bytes | None] | None) -> int | None:
    return min(parse_seconds(value) or 0 for value in values) if values else None


def _most(values: Sequence[bytes | None] | None) -> int | None:
    if not values:
        return None
    known = [parse_seconds(value) for value in values]
    return max(FOREVER if value is None else value for value in known)


def by_name(headers: Iterable[Header]) -> dict[bytes, list[bytes]]:
    """The values of each header, in their order."""
    fields: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        fields.setdefault(name, []).append(value)
    return fields


_MONTHS = {name: n for n, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)}
_CLOCK = rb"(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)"
_DATES = (
    re.compile(rb"[A-Z][a-z]{2}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4}) " + _CLOCK + rb" GMT"),
    re.compile(rb"[A-Z][a-z]{5,8}, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{2})-(?P<year>\d\d) " + _CLOCK + rb" GMT"),
    re.compile(rb"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) " + _CLOCK + rb" (?P<year>\d{4})"),
)
"""The three forms of a date: that of today, of RFC 850 and of asctime (RFC 9110, 5.6.7)."""
_LONGEST_DATE = len("Wednesday, 06-Nov-94 08:49:37 GMT")


def parse_date(value: bytes, *, now: int) -> int | None:
    """The instant of an HTTP date, None where it is none; ``now`` tells the century of a year of two digits."""
    return _parse_date(value, now // DAY) if len(value) <= _LONGEST_DATE else None


@functools.lru_cache(maxsize=1_024)  # every answer has a date, and those of one second have the same
def _parse_date(value: bytes, today: int) -> int | None:
    match = next(filter(None, (form.fullmatch(value) for form in _DATES)), None)
    if match is None:
        return None
    year, month = int(match["year"]), _MONTHS.get(match["month"], 0)
    if len(match["year"]) == len("94"):
        this_year = to_datetime(today * DAY).year
        year += this_year // 100 * 100
        year -= 100 if year > this_year + 50 else 0
    second = min(int(match["s"]), 59)  # a leap second
    try:
        return to_micros(datetime(year, month, int(match["day"]), int(match["h"]), int(match["m"]), second, tzinfo=UTC))
    except ValueError:
        return None


def format_date(micros: int) -> bytes:
    """An instant as an HTTP date."""
    return formatdate(micros // MICROSECONDS, usegmt=True).encode()
