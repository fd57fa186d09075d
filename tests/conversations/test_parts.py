"""Columns of whatever types."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signalbox.conversations.dataset import Part
from signalbox.conversations.errors import CorruptPartError, InvalidDatasetError
from signalbox.conversations.parts import Table, checked, read_batches, read_whole


def part(tmp_path: Path, **columns: Any) -> Part:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table(columns), path)
    return Part("tag/part", path)


def table(tmp_path: Path, column: Any) -> Table:
    return read_whole(part(tmp_path, c=column), ["c"], required=[])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, -3], pa.int32()), [1, None, -3]),
        (pa.array([2**60, 1, None]), [2**60, 1, None]),
        (pa.array([1.0, 1.5, float("nan")]), [1, None, None]),
        (pa.array([float("inf"), None, 1e300]), [None, None, None]),
        (pa.array([" 12 ", "x", "1.0"]), [12, None, 1]),
        (pa.array([None, None, None]), [None, None, None]),
    ],
)
def test_whole_numbers_are_read_from_all_types(tmp_path: Path, column: Any, expected: list[int | None]) -> None:
    found = table(tmp_path, column).numbers("c")
    values = zip(found.values.tolist(), found.known.tolist(), strict=True)
    assert [value if known else None for value, known in values] == expected


def test_a_missing_column_is_unknown(tmp_path: Path) -> None:
    found = read_whole(part(tmp_path, other=[1, 2]), ["c"], required=[])
    assert (found.texts("c"), found.numbers("c").known.tolist()) == ([None, None], [False, False])
    assert np.isnan(found.floats("c")).all()


def test_texts_lose_nothing_but_nul(tmp_path: Path) -> None:
    texts = ["\U0001f600 'quoted\" \\ ; --", None, "", "a\0b"]
    assert table(tmp_path, pa.array(texts)).texts("c") == [*texts[:3], "a\ufffdb"]
    assert table(tmp_path, pa.array([1, None])).texts("c") == ["1", None]


def test_repeated_texts_are_coded(tmp_path: Path) -> None:
    found = table(tmp_path, pa.array(["a", None, "b", "a"])).encoded("c")
    assert ([found.texts[code] if code >= 0 else None for code in found.codes]) == ["a", None, "b", "a"]


def test_batches_are_the_rows_in_order(tmp_path: Path) -> None:
    found = [each.texts("c") for each in read_batches(part(tmp_path, c=["a", "b", "c"]), ["c"], rows=2)]
    assert [text for each in found for text in each] == ["a", "b", "c"]


def test_corrupt_files_are_named(tmp_path: Path) -> None:
    good = part(tmp_path, c=["some text"] * 1_000)
    content = bytearray(good.path.read_bytes())
    for damaged in (b"", content[: len(content) // 2], b"PAR1" + bytes(100) + b"PAR1"):
        good.path.write_bytes(damaged)
        with pytest.raises(CorruptPartError, match="tag/part cannot be read"):
            read_whole(good, ["c"], required=[])


def test_failures_in_reading_are_told_as_corrupt() -> None:
    with pytest.raises(CorruptPartError, match="x cannot be read"):
        checked(Part("x", Path()), b"\xff".decode)


def test_a_required_column_is_missed_only_where_there_are_rows(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match="tag/part has no column c"):
        read_whole(part(tmp_path, other=[1]), ["c"], required=["c"])
    assert read_whole(part(tmp_path, other=pa.array([], pa.int64())), ["c"], required=["c"]).rows == 0
