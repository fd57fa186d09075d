"""Splitting a batch that comes in pieces."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.errors import InvalidError
from signalbox.grid.batch_rows import LONGEST_ROW, RowSplitter

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def split(body: bytes, sizes: list[int] | None = None) -> list[bytes]:
    splitter, found = RowSplitter(), []
    for size in sizes or []:
        found += splitter.feed(body[:size])
        body = body[size:]
    return [*found, *splitter.feed(body), *splitter.close()]


@given(
    rows=st.lists(JSON, max_size=6), indent=st.sampled_from([None, 1]), sizes=st.lists(st.integers(0, 9), max_size=40)
)
def test_an_array_is_split_wherever_it_is_cut(rows: list[Any], indent: int | None, sizes: list[int]) -> None:
    body = b" " + json.dumps(rows, indent=indent).encode() + b"\n"
    assert [json.loads(row) for row in split(body, sizes)] == rows


@given(rows=st.lists(JSON, max_size=6), sizes=st.lists(st.integers(0, 9), max_size=40))
def test_lines_are_split_wherever_they_are_cut(rows: list[Any], sizes: list[int]) -> None:
    objects = [{"row": row} for row in rows]
    body = b"\n\r\n".join(json.dumps(row).encode() for row in objects)
    assert [json.loads(row) for row in split(body, sizes)] == objects


def test_wrong_rows_are_rows_too() -> None:
    assert split(b'[{"value": NaN}, x, {"a": "]}"}]') == [b'{"value": NaN}', b"x", b'{"a": "]}"}']
    assert split(b"{}\n\n{\r\n") == [b"{}", b"{\r"]
    assert split(b"") == split(b" \n ") == split(b"[ ]") == []


@pytest.mark.parametrize(
    "body", [b"[{}", b"[", b"[{},]", b"[,{}]", b"[{},,{}]", b"[{}] x", b"[{}][", b"[}]", b'["a', b"[{]"]
)
def test_what_is_no_array_is_refused(body: bytes) -> None:
    for sizes in ([], [1] * len(body)):
        with pytest.raises(InvalidError):
            split(body, sizes)


def test_rows_have_a_longest() -> None:
    row = b'{"a": "' + b"x" * LONGEST_ROW + b'"}'
    for body in (row[:-2], b"[" + row[:-2]):
        with pytest.raises(InvalidError, match="longer than"):
            split(body)
