import math
from collections import Counter

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from signalbox.infra.telemetry.histogram import Histogram, bounds_of, bucket_of

LONGEST = 10**17
"""Some 3,000 years in microseconds."""

DURATIONS = st.one_of(st.integers(0, 1_000), st.integers(0, 100_000_000), st.integers(0, LONGEST))
MANY = st.lists(DURATIONS, max_size=200)
SOME = st.lists(DURATIONS, min_size=1, max_size=200)
PROMETHEUS = (1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000)


def histogram(durations: list[int]) -> Histogram:
    made = Histogram()
    for each in durations:
        made.add(each)
    return made


@given(DURATIONS)
@example(99)
@example(100)
@example(101)
@example(110)
@example(111)
@example(1_000)
def test_a_bucket_contains_what_falls_into_it(micros: int) -> None:
    low, high = bounds_of(bucket_of(micros))
    assert low < micros <= high or (micros == low == 0)


@given(st.integers(0, 1_500))
def test_buckets_follow_each_other_without_gap(bucket: int) -> None:
    low, high = bounds_of(bucket)
    assert bounds_of(bucket + 1)[0] == high
    assert bucket_of(high) == bucket
    assert bucket_of(low + 1) == bucket


@given(st.integers(9, 1_500))
def test_a_bucket_is_at_most_a_tenth_wide(bucket: int) -> None:
    low, high = bounds_of(bucket)
    assert (high - low) * 10 <= high


def test_a_duration_below_zero_counts_as_zero() -> None:
    assert bucket_of(-5) == bucket_of(0) == 0


@given(MANY)
def test_the_count_is_the_number_of_durations(durations: list[int]) -> None:
    assert histogram(durations).count == len(durations)


@given(MANY, MANY)
def test_merging_is_adding_all_of_both(one: list[int], other: list[int]) -> None:
    merged, second = histogram(one), histogram(other)
    before = dict(second.buckets)
    merged.merge(second)
    assert merged.buckets == histogram(one + other).buckets
    assert second.buckets == before


def test_a_copy_is_its_own() -> None:
    one = histogram([1, 2])
    copy = Histogram(one.buckets)
    copy.add(3)
    assert one.count == 2


@given(SOME, st.floats(0, 1))
@example([1], 0.5)
@example([0], 0.99)
@example([10**6] * 100 + [10**9], 0.99)
def test_a_quantile_is_off_by_at_most_a_tenth(durations: list[int], point: float) -> None:
    """Against the nearest-rank quantile; below 10 us the buckets are 1 us wide."""
    (estimate,) = histogram(durations).quantiles(point)
    rank = max(1, math.ceil(point * len(durations)))
    exact = sorted(durations)[rank - 1]
    assert estimate is not None
    assert abs(estimate - exact) <= max(exact / 10, 1)


@given(SOME, st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_quantiles_do_not_fall(durations: list[int], points: list[float]) -> None:
    answers = histogram(durations).quantiles(*sorted(points))
    assert answers == sorted(answers, key=lambda each: each or 0)


def test_there_are_no_quantiles_of_nothing() -> None:
    assert Histogram().quantiles(0.5, 0.99) == [None, None]


@given(MANY)
def test_counts_below_prometheus_bounds_are_exact(durations: list[int]) -> None:
    assert histogram(durations).below(PROMETHEUS) == [sum(each <= limit for each in durations) for limit in PROMETHEUS]


@given(SOME, st.lists(st.integers(0, 1_500).map(lambda bucket: bounds_of(bucket)[1]), max_size=10))
def test_counts_below_any_bound_of_a_bucket_are_exact(durations: list[int], limits: list[int]) -> None:
    limits = sorted(limits)
    assert histogram(durations).below(limits) == [sum(each <= limit for each in durations) for limit in limits]


@given(MANY)
def test_stored_bytes_give_the_same_histogram(durations: list[int]) -> None:
    made = histogram(durations)
    assert Histogram.from_bytes(made.to_bytes()).buckets == made.buckets


@given(st.dictionaries(st.integers(0, 2_000), st.integers(1, 2**50), max_size=50))
def test_counts_of_any_size_are_stored(buckets: dict[int, int]) -> None:
    assert Histogram.from_bytes(Histogram(buckets).to_bytes()).buckets == buckets


def test_a_minute_of_traffic_is_stored_in_few_bytes() -> None:
    durations = [1_000 + 7 * number for number in range(3_000)]
    assert len(histogram(durations).to_bytes()) < 3 * len(Counter(map(bucket_of, durations))) + 4


@given(SOME, st.data())
def test_bytes_that_were_cut_short_are_refused(durations: list[int], data: st.DataObject) -> None:
    stored = histogram(durations).to_bytes()
    end = data.draw(st.integers(0, len(stored) - 1))
    with pytest.raises(ValueError, match="histogram"):
        Histogram.from_bytes(stored[:end])


@given(SOME, st.binary(min_size=1, max_size=4))
def test_bytes_that_are_too_many_are_refused(durations: list[int], more: bytes) -> None:
    with pytest.raises(ValueError, match="histogram"):
        Histogram.from_bytes(histogram(durations).to_bytes() + more)


@given(st.binary())
def test_an_unknown_version_is_refused(data: bytes) -> None:
    assume(not data or data[0] != 1)
    with pytest.raises(ValueError, match="version 1"):
        Histogram.from_bytes(data)
