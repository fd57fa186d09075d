"""How often something may be done, ``1000/1m`` in settings."""

import re
from typing import Annotated, Any, NamedTuple, Self

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from signalbox.core.errors import InvalidError
from signalbox.core.times import DAY, HOUR, MICROSECONDS, MINUTE, parse_span

GRAMMAR = r"^[0-9]{1,9}/[0-9]{0,9}[smhd]$"
"""Pattern of a rate's text; zero is refused besides."""

_RATE = re.compile(r"([0-9]{1,9})/([0-9]{0,9})([smhd])")
_UNITS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": MICROSECONDS}


class _Fields(NamedTuple):
    limit: int
    window: int


class Rate(_Fields):
    """At most ``limit`` times within any ``window`` of that many microseconds, wherever the window begins.

    ``str(rate)`` is its text in the settings' grammar, the window in the longest unit that fits.

    Raises:
        InvalidError: the limit is below 1, or the window is no whole number of seconds from 1 on.
    """

    # A tuple, not a dataclass: limiters look rates up at every call, and a tuple is hashed in a fifth of the time.
    __slots__ = ()

    def __new__(cls, limit: int, window: int) -> Self:
        """Check and make a rate."""
        if limit < 1:
            msg = f"a rate lets at least 1 through in its window, not {limit}"
            raise InvalidError(msg)
        if window < MICROSECONDS or window % MICROSECONDS:
            msg = f"the window of a rate is a whole number of seconds, not {window} microseconds"
            raise InvalidError(msg)
        return super().__new__(cls, limit, window)

    def __str__(self) -> str:
        unit = next(name for name, length in _UNITS.items() if self.window % length == 0)
        return f"{self.limit}/{self.window // _UNITS[unit]}{unit}"


def parse_rate(text: str) -> Rate:
    """The rate that a text such as ``1000/1m`` or ``50/s`` (the same as ``50/1s``) names.

    Raises:
        InvalidError: the text is not a whole number, ``/`` and a span; a number is zero; the window is over
            1,000,000 days.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0 or match[2].strip("0") == "" != match[2]:
        msg = f"{text!r} is not a rate; write how often, a slash and a time with s, m, h or d, such as 1000/1m or 50/s"
        raise InvalidError(msg)
    return Rate(int(match[1]), parse_span(f"{match[2] or 1}{match[3]}"))


def _read(value: Any) -> Rate:
    if isinstance(value, Rate):
        return value
    if isinstance(value, str):
        return parse_rate(value)
    msg = "is written as text, how often in which time, such as 1000/1m or 50/s"
    raise InvalidError(msg)


RateSetting = Annotated[
    Rate,
    PlainValidator(_read),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": GRAMMAR, "examples": ["1000/1m", "50/s"]}),
]
"""A field of settings that is written ``1000/1m``."""
