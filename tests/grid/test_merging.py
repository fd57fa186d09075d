"""Sorting readings into buckets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.times import DAY
from signalbox.grid.merging import Bucket, Readings, bucket_starts, buckets_at, join, repeats, sort, split

PLACES = st.lists(st.tuples(st.integers(8, 12), st.integers(-3 * DAY, 3 * DAY)), max_size=60)


def to_readings(places: list[tuple[int, int]]) -> Readings:
    series, at = ([place[part] for place in places] for part in (0, 1))
    return Readings(np.array(series, np.int64), np.array(at, np.int64), np.arange(len(places), dtype=float))


@given(places=PLACES, size=st.integers(1, 30))
def test_pieces_are_whole_buckets_in_order(places: list[tuple[int, int]], size: int) -> None:
    ordered, order = sort(to_readings(places))
    if order is not None:
        assert ordered.value.tolist() == order.tolist()
    assert [*zip(ordered.series.tolist(), ordered.at.tolist(), strict=True)] == sorted(places)
    pieces = list(split(ordered, size=lambda: size))
    assert join(pieces).value.tolist() == ordered.value.tolist()
    seen: set[Bucket] = set()
    for piece in pieces:
        buckets = buckets_at(piece, bucket_starts(piece))
        assert len(set(buckets)) == len(buckets)
        assert not seen & set(buckets)
        assert len(piece.at) <= size or len(buckets) == 1
        seen |= set(buckets)
    assert seen == {Bucket(series, at // DAY) for series, at in places}


def test_days_before_1970_are_days_too() -> None:
    readings = to_readings([(8, -1), (8, 0), (8, DAY - 1), (8, DAY)])
    assert [each.day for each in buckets_at(readings, bucket_starts(readings))] == [-1, 0, 1]


def test_equal_readings_keep_their_order_and_are_marked() -> None:
    ordered, order = sort(to_readings([(9, 5), (8, 5), (9, 5), (8, 6)]))
    assert order is not None
    assert (order.tolist(), repeats(ordered).tolist()) == ([1, 3, 0, 2], [False, False, False, True])
    assert sort(ordered)[1] is None
    assert len(join([]).at) == 0
    assert ordered.take(slice(0, 1)).value.tolist() == [1.0]
