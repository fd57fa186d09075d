"""A histogram of durations that can be merged, stored and asked for quantiles.

Buckets are log-linear in base 10: two significant digits, 90 buckets to a decade, after Hartmann and
Schlossnagle, "Circllhist" (2020, arXiv:2001.06561). A bucket is at most 10 % wide, so a quantile is off by at
most 10 % of its value (or by 1 us), and the bounds are round numbers: 5 ms, 25 ms or 1 s are bounds, hence Prometheus
buckets counted from this histogram are exact.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping

_POWERS: list[int] = [10**exponent for exponent in range(2, 19)]
_SCALES: list[int] = [10**exponent for exponent in range(19)]
_EXACT = 100
"""Durations up to this have a bucket for each microsecond."""
_LOW, _MORE = 127, 128
"""LEB128: seven bits of a number in a byte, and the bit that says that more follow."""


def bucket_of(micros: int) -> int:
    """The bucket of a duration in microseconds; a bucket excludes its lower bound and includes its upper one."""
    value = micros - 1
    if value < _EXACT:
        return max(0, value)
    exponent = bisect_right(_POWERS, value)
    return 90 * exponent + value // _SCALES[exponent]


def bounds_of(bucket: int) -> tuple[int, int]:
    """Lower (excluded) and upper (included) bound of a bucket, in microseconds."""
    if bucket < _EXACT:
        return bucket, bucket + 1
    exponent = (bucket - 10) // 90
    mantissa = bucket - 90 * exponent
    return mantissa * 10**exponent, (mantissa + 1) * 10**exponent


class Histogram:
    """Counts durations in microseconds."""

    __slots__ = ("buckets",)

    def __init__(self, buckets: Mapping[int, int] | None = None) -> None:
        self.buckets: dict[int, int] = dict(buckets or {})
        """Count by bucket; empty buckets are absent."""

    @property
    def count(self) -> int:
        """How many durations were added."""
        return sum(self.buckets.values())

    def add(self, micros: int) -> None:
        """Count one duration."""
        bucket = bucket_of(micros)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def add_all(self, micros: list[int]) -> None:
        """Count many durations, each in a fraction of the time that ``add`` takes."""
        ordered = sorted(micros)
        buckets = self.buckets
        start = 0
        while start < len(ordered):
            bucket = bucket_of(ordered[start])
            end = bisect_right(ordered, bounds_of(bucket)[1], start)
            buckets[bucket] = buckets.get(bucket, 0) + end - start
            start = end

    def merge(self, other: "Histogram") -> None:
        """Add all of another histogram's counts."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def quantiles(self, *points: float) -> list[float | None]:
        """Durations in microseconds below which the given shares (0 to 1) lie; None for each where nothing was added.

        Within a bucket durations are taken to be evenly spread.
        """
        total = self.count
        if total == 0:
            return [None] * len(points)
        ordered = sorted(self.buckets.items())
        return [_quantile(ordered, max(1.0, point * total)) for point in points]

    def below(self, limits: Iterable[int]) -> list[int]:
        """How many durations are at most each limit (ascending, microseconds); exact where a limit is a bound."""
        ordered = sorted(self.buckets.items())
        counts, seen, position = [], 0, 0
        for limit in limits:
            while position < len(ordered) and bounds_of(ordered[position][0])[1] <= limit:
                seen += ordered[position][1]
                position += 1
            counts.append(seen)
        return counts

    def to_bytes(self) -> bytes:
        """Version byte 1, the number of buckets, then each one's gap to the one before and count, as LEB128 numbers."""
        out = bytearray(b"\x01")
        _put(out, len(self.buckets))
        previous = 0
        for bucket, count in sorted(self.buckets.items()):
            _put(out, bucket - previous)
            _put(out, count)
            previous = bucket
        return bytes(out)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Histogram":
        """The histogram that ``to_bytes`` wrote.

        Raises:
            ValueError: the bytes are of an unknown version, too few or too many.
        """
        if not data or data[0] != 1:
            msg = "not a histogram of version 1"
            raise ValueError(msg)
        count, *numbers = _numbers(data) or [-1]
        if len(numbers) != 2 * count:
            msg = "the histogram has too few or too many bytes"
            raise ValueError(msg)
        buckets: dict[int, int] = {}
        bucket = 0
        for gap, count in zip(numbers[::2], numbers[1::2], strict=True):
            bucket += gap
            buckets[bucket] = count
        return cls(buckets)


def _quantile(ordered: list[tuple[int, int]], rank: float) -> float:
    seen = 0
    low = high = 0
    for bucket, count in ordered:
        low, high = bounds_of(bucket)
        if seen + count >= rank:
            return low + (high - low) * (rank - seen) / count
        seen += count
    return float(high)


def _put(out: bytearray, number: int) -> None:
    while number > _LOW:
        out.append(number & _LOW | _MORE)
        number >>= 7
    out.append(number)


def _numbers(data: bytes) -> list[int]:
    numbers: list[int] = []
    number = shift = 0
    for byte in data[1:]:
        number |= (byte & _LOW) << shift
        shift += 7
        if byte <= _LOW:
            numbers.append(number)
            number = shift = 0
    if shift:
        msg = "the histogram is cut short"
        raise ValueError(msg)
    return numbers
