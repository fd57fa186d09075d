"""Fewer points that look like many."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.grid.downsample import Method, downsample, largest_triangles

METHODS = get_args(Method)


@given(
    times=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=200, unique=True),
    points=st.integers(3, 50),
    method=st.sampled_from(METHODS),
)
def test_there_are_at_most_so_many_points_in_order(times: list[int], points: int, method: Method) -> None:
    at = np.array(sorted(times))
    value = np.sin(at.astype(float))
    found_at, found = downsample(at, value, points=points, method=method)
    assert 1 <= len(found_at) == len(found) <= points
    assert (np.diff(found_at) > 0).all()
    if method != "mean" or len(at) <= points:
        assert {*zip(found_at.tolist(), found.tolist(), strict=True)} <= {
            *zip(at.tolist(), value.tolist(), strict=True)
        }
    if len(at) <= points:
        assert found is value


def test_each_method_gives_what_it_says() -> None:
    at, value = np.arange(12), np.array([5.0, 1, 9, 4, 4, 4, 0, 0, 7, 2, 3, 2])
    cases: list[tuple[Method, list[float]]] = [
        ("min", [1, 4, 0, 2]),
        ("max", [9, 4, 7, 3]),
        ("mean", [5, 4, 7 / 3, 7 / 3]),
    ]
    for method, expected in cases:
        assert downsample(at, value, points=4, method=method)[1].tolist() == pytest.approx(expected)
    assert downsample(at, value, points=4, method="min")[0].tolist() == [1, 3, 6, 9]


def test_triangles_keep_ends_and_peaks() -> None:
    at, value = np.arange(1_000), np.zeros(1_000)
    value[437] = 100
    chosen = largest_triangles(at, value, 20)
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 999, 20)
    assert 437 in chosen
