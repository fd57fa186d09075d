"""How numbers, spans and moments are written on pages. Everything that is not known is written as a dash."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

NOTHING = "\N{EN DASH}"
_THOUSAND = 1_000
_LARGEST = 10_000
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def number(value: float | None) -> str:
    """``950``, ``12,345``, ``1.2 M``."""
    if value is None:
        return NOTHING
    for size, unit in ((10**9, "G"), (10**6, "M")):
        if abs(value) >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:,.0f}" if abs(value) >= _LARGEST or value == int(value) else f"{value:,.1f}"


def rate(value: float | None) -> str:
    """``0.05``, ``3.2``, ``1,250``: something in a second, a minute or an hour."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < _THOUSAND else f"{value:,.0f}"


def share(value: float | None) -> str:
    """``0.4 %`` of 0.004; what is not nothing is never written as 0, nor what is not all as 100."""
    if value is None:
        return NOTHING
    percent = 100 * value
    if 0 < percent < 0.1:  # noqa: PLR2004 - the smallest that is written
        return "< 0.1 %"
    if 99.9 < percent < 100:  # noqa: PLR2004
        return "> 99.9 %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


def seconds(value: float | None) -> str:
    """``0.4 ms``, ``25 ms``, ``1.4 s``, ``3 min``, ``2 h``, ``5 d``."""
    if value is None:
        return NOTHING
    if value < 1:
        millis = value * _THOUSAND
        return f"{millis:.1f} ms" if millis < 10 else f"{millis:.0f} ms"  # noqa: PLR2004
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"  # noqa: PLR2004


def size(value: float | None) -> str:
    """``512 B``, ``1.4 KB``, ``20 MB``, in steps of 1,000."""
    if value is None:
        return NOTHING
    for power, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "KB")):
        if value >= power:
            return f"{value / power:.1f} {unit}"
    return f"{value:.0f} B"


def ago(value: datetime, now: datetime) -> str:
    """``just now``, ``20 s ago``, ``in 5 min``."""
    span = (now - value).total_seconds()
    if abs(span) < 1:
        return "just now"
    return f"{_span(span)} ago" if span > 0 else f"in {_span(-span)}"


def absolute(value: datetime) -> str:
    """``2026-01-31 10:00:00 UTC``."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def moment(value: datetime | None, now: datetime) -> Markup:
    """A ``<time>`` with the relative form as its text and the absolute one, with its zone, as its title."""
    if value is None:
        return Markup("{}").format(NOTHING)
    utc = value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(utc, absolute(value), ago(value, now))


def pretty(value: Any) -> str:
    """JSON as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def pick(row: Sequence[Any], *places: int) -> tuple[Any, ...]:
    """Some values of a row, for ``map``."""
    return tuple(row[place] for place in places)


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "rate": rate,
    "share": share,
    "seconds": seconds,
    "size": size,
    "absolute": absolute,
    "pretty": pretty,
    "pick": pick,
}
"""As templates know them; ``moment`` is added with the present of each page."""


def _span(value: float) -> str:
    for size_, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if value >= size_:
            return f"{value // size_:.0f} {unit}"
    return f"{int(value)} s"
