"""Sums of readings, and how they are merged."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.times import DAY, HOUR
from signalbox.grid.rollups import (
    HOURS,
    QUARTERS,
    join_sums,
    merge_groups,
    merge_neighbours,
    roll_up_days,
    sum_readings,
    unpack,
)

VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60)


@given(values=VALUES, data=st.data())
def test_however_sums_are_merged_they_are_those_of_all(values: list[float], data: st.DataObject) -> None:
    cuts = data.draw(st.sets(st.integers(0, len(values) - 1)))
    starts = np.array(sorted({0, *cuts}))
    parts = sum_readings(np.array(values), starts)
    group = np.zeros(len(starts), np.int64)
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    for merged in (
        merge_neighbours(parts, np.array([0])),
        merge_groups(parts, group, 2),
        merge_groups(join_sums([parts]), group, 2),
    ):
        assert (merged.n[0], merged.min[0], merged.max[0]) == (len(values), min(values), max(values))
        assert merged.mean[0] == pytest.approx(mean, rel=1e-9, abs=1e-12 * max(map(abs, values)))
        spread = max(values) - min(values)
        assert math.sqrt(merged.m2[0] / merged.n[0]) == pytest.approx(deviation, rel=1e-9, abs=1e-9 * spread)
    assert merge_groups(parts, group, 2).n[1] == 0


def test_digits_of_large_readings_are_kept() -> None:
    values = np.tile([1e9 - 1, 1e9 + 1], 500)
    merged = merge_neighbours(sum_readings(values, np.arange(1_000)), np.array([0]))
    assert merged.m2[0] / merged.n[0] == pytest.approx(1.0, rel=1e-9)


@given(value=st.floats(-1e9, 1e9), count=st.integers(1, 200), data=st.data())
def test_equal_readings_deviate_by_nothing(value: float, count: int, data: st.DataObject) -> None:
    values = np.full(count, value)
    starts = np.array(sorted({0, *data.draw(st.sets(st.integers(0, count - 1)))}))
    parts = sum_readings(values, starts)
    rounded = parts._replace(mean=parts.mean * (1 + 1e-16), m2=parts.m2 + 1e-28)  # as they were stored once
    for found in (
        parts,
        *(merge_neighbours(each, np.array([0])) for each in (parts, rounded)),
        *(merge_groups(each, np.zeros(len(starts), np.int64), 1) for each in (parts, rounded)),
    ):
        assert (set(found.mean.tolist()), set(found.m2.tolist())) == ({value}, {0.0})


def test_days_have_hours_and_quarters() -> None:
    at = np.array([-DAY, -DAY + HOUR, -1, 0, 1, HOUR // 4])
    rolled = roll_up_days(at, np.arange(6.0), np.array([0, 3]))
    assert rolled.day.n.tolist() == [3, 3]
    assert rolled.day.take(np.array([1])).max.tolist() == [5.0]
    assert rolled.occupied.tolist() == [1 | 2 | 1 << 23, 1]
    hours, quarters = unpack(rolled.hours, HOURS), unpack(rolled.quarters, QUARTERS)
    assert (hours["n"][1, 0], hours["mean"][1, 0], hours["n"].sum()) == (3, 4.0, 6)
    assert (quarters["n"][1, :2].tolist(), quarters["mean"][1, 1], len(rolled.quarters[0])) == ([2, 1], 5.0, 96 * 36)
