"""The byte format of a chunk."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.times import DAY
from signalbox.grid.chunks import decode_chunk, encode_chunk
from signalbox.grid.errors import BrokenChunkError

TIMES = st.lists(st.integers(-DAY, DAY), min_size=1, max_size=50, unique=True)


@given(times=TIMES, seed=st.integers(0, 2**32 - 1))
def test_what_is_encoded_comes_back(times: list[int], seed: int) -> None:
    at, value = np.array(sorted(times)), np.random.default_rng(seed).normal(size=len(times))
    found_at, found = decode_chunk(encode_chunk(at, value))
    assert (found_at.tolist(), found.tolist()) == (at.tolist(), value.tolist())


@pytest.mark.parametrize(
    ("times", "form", "size"),
    [
        ([5], 1, 16 + 8),
        (list(range(0, 60_000, 60)), 0, 16 + 8 + 8_000),
        ([0, 1, 3], 1, 16 + 8 + 24),
        ([0, 1, 2**32 + 1], 2, 16 + 16 + 24),
        ([0, 2**32 - 1, 2**32], 1, 16 + 8 + 24),
    ],
)
def test_times_take_as_little_as_they_may(times: list[int], form: int, size: int) -> None:
    data = encode_chunk(np.array(times), np.zeros(len(times)))
    assert (data[0], data[1], len(data)) == (1, form, size)
    assert decode_chunk(data)[0].tolist() == times


def test_a_chunk_of_version_1_stays_readable() -> None:
    data = struct.pack("<BBHIqIIddd", 1, 1, 0, 3, -7, 2, 5, 0.5, -1.0, 1e9)
    assert [column.tolist() for column in decode_chunk(data)] == [[-7, -5, 0], [0.5, -1.0, 1e9]]


def test_broken_chunks_are_refused() -> None:
    good = encode_chunk(np.array([1, 2, 4]), np.ones(3))
    for wrong in (b"", good[:10], good[:-1], b"\2" + good[1:], good[:1] + b"\7" + good[2:]):
        with pytest.raises(BrokenChunkError):
            decode_chunk(wrong)
