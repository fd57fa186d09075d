from dataclasses import fields

import numpy as np
from hypothesis import given

from signalbox.conversations.arrays import Arrays, Drafts, empty, from_bytes, sort, to_bytes
from tests.conversations.test_searching import rows


@given(rows())
def test_arrays_come_back_from_bytes(given_rows: tuple[Drafts, list[dict[str, int]]]) -> None:
    before = sort(given_rows[0]).arrays
    after = from_bytes(dict(to_bytes(before)))
    for each in fields(Arrays):
        assert np.array_equal(getattr(after, each.name), getattr(before, each.name)), each.name


def test_empty_arrays_have_no_items() -> None:
    assert (empty().size, len(empty().tag_starts)) == (0, 1)


def test_items_of_a_tag_ascend() -> None:
    made = from_bytes({**dict(to_bytes(empty())), "tag_starts": np.array([0, 2, 3]).tobytes(),
                       "tagged": np.array([4, 7, 1], dtype=np.int32).tobytes()})  # fmt: skip
    assert (made.tagged_with(0).tolist(), made.tagged_with(1).tolist()) == ([4, 7], [1])
