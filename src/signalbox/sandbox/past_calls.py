"""Calls that a shop's apps made through the gateway in the past: a quiet night, two busy times a day, an outage."""

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from signalbox.core.times import DAY, MICROSECONDS, MINUTE
from signalbox.gateway.routing import UNMATCHED
from signalbox.gateway.schemas import CallRow

Noise = np.random.Generator
Ints = npt.NDArray[np.int64]

FAILURES: Final = 0.01
"""Share of calls that fail on any day."""

_CLIENTS: Final = ("10.20.0.11", "10.20.0.12", "10.20.0.13", "10.20.0.14")
_UPSTREAM: Final = "shop"
_SPREAD: Final = 0.4
_SLOWEST: Final = 2_000_000
_UNTIL_OPEN: Final = 10 * MICROSECONDS
"""How long an upstream that is away is called until the breaker refuses to."""
_PROBED: Final = 0.02
_REFUSED: Final = 300
"""Microseconds that it takes to say no."""


class Kind(NamedTuple):
    """One of the things that apps want."""

    share: float
    method: str
    route: str
    path: str
    """``{}`` stands for a rank."""
    most: int
    """Of the ranks; low ones are frequent."""
    median: int
    """Microseconds."""
    status: int
    request_bytes: int
    response_bytes: int


_MISSING: Final = Kind(0.04, "GET", UNMATCHED, "/old/page-{}", 40, 1_100, 404, 0, 60)
KINDS: Final = (
    Kind(0.34, "GET", "/categories/{id}", "/categories/MLA{}", 100, 400, 200, 0, 420),  # from the cache
    Kind(0.11, "GET", "/categories/{id}", "/categories/MLA{}", 100_000, 8_600, 200, 0, 420),
    Kind(0.22, "GET", "/items/{id}", "/items/MLA{}", 1_000_000, 12_700, 200, 0, 610),
    Kind(0.05, "GET", "/items", "/items", 1, 12_900, 200, 0, 2_900),
    Kind(0.10, "GET", "/users/{id}", "/users/{}", 50_000, 5_600, 200, 0, 230),
    Kind(0.09, "GET", "/search", "/search", 1, 41_000, 200, 0, 2_300),
    Kind(0.05, "POST", "/orders", "/orders", 1, 26_000, 201, 61, 90),
    _MISSING,
)
"""The mix of ``traffic``, as the gateway records it."""


class Span(NamedTuple):
    """From ``begins`` to before ``ends``, microseconds UTC."""

    begins: int
    ends: int

    def has(self, moment: int) -> bool:
        """Whether it lies within."""
        return self.begins <= moment < self.ends


def load_at(moment: int) -> float:
    """How busy a moment is, as a share of the day's mean: least at four in the night, most at noon and in the evening."""
    hour = (moment % DAY) / DAY * 24
    return 1 + 0.55 * math.sin((hour - 9.5) / 24 * 2 * math.pi) + 0.25 * math.sin((hour - 8) / 12 * 2 * math.pi)


def calls(*, since: int, until: int, rate: float, outage: Span) -> Iterator[list[CallRow]]:
    """What was called, a minute at a time, in the order in which it ended; on average ``rate`` calls a second.

    ``since`` is a whole minute. While the outage lasts the upstream cannot be reached, and soon is not called any more.
    """
    noise = np.random.default_rng(9)
    for minute in range(since, until, MINUTE):
        length = min(MINUTE, until - minute)
        count = int(noise.poisson(rate * load_at(minute) * length / MICROSECONDS))
        rows = _minute(noise, minute + np.sort(noise.integers(0, length, count)), outage)
        yield sorted((row for row in rows if row[0] + row[6] < until), key=_ended)


def _ended(call: CallRow) -> int:
    return call[0] + call[6]


def _minute(noise: Noise, at: Ints, outage: Span) -> list[CallRow]:
    count = len(at)
    kinds = noise.choice(len(KINDS), count, p=[kind.share for kind in KINDS]).tolist()
    slow = np.exp(_SPREAD * noise.standard_normal(count)).tolist()
    ranks, fails, other = noise.random(count).tolist(), noise.random(count).tolist(), noise.random(count).tolist()
    ids = noise.bytes(16 * count).hex()
    rows: list[CallRow] = []
    for place, moment in enumerate(at.tolist()):
        kind = KINDS[kinds[place]]
        micros, status, size = min(int(kind.median * slow[place]), _SLOWEST), kind.status, kind.response_bytes
        if outage.has(moment):
            status, micros = _away(moment - outage.begins, fails[place], micros)
        elif fails[place] < FAILURES and kind is not _MISSING:
            status = (500, 503, 404)[int(3 * other[place])]
        if status != kind.status:
            size = 140
        path = kind.path.format(int(kind.most ** ranks[place]))
        client, request_id = _CLIENTS[int(len(_CLIENTS) * other[place])], ids[32 * place : 32 * place + 32]
        row = (moment, path, kind.route, _UPSTREAM, kind.method, status, micros, kind.request_bytes, size)
        rows.append((*row, client, None, request_id))
    return rows


def _away(elapsed: int, fraction: float, micros: int) -> tuple[int, int]:
    """Status and duration of a call in an outage."""
    if elapsed < _UNTIL_OPEN or fraction < _PROBED:
        return 502, micros
    return 503, _REFUSED
