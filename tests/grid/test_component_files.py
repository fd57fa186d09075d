"""Components in bulk."""

import pytest

from signalbox.core.errors import InvalidError
from signalbox.grid.component_files import MOST_ROWS, parse_rows, to_csv
from signalbox.grid.errors import BatchTooLongError


def test_rows_are_read_and_written() -> None:
    rows = [{"a": "1", "b": "x,\n"}, {"a": "", "b": "ü"}]
    assert parse_rows(to_csv(rows).encode(), is_csv=True) == rows
    for wrong in (b"{}", b"[1]", b"[", b"\xff"):
        with pytest.raises(InvalidError):
            parse_rows(wrong, is_csv=False)
    with pytest.raises(BatchTooLongError):
        parse_rows(b"[" + b"{}," * MOST_ROWS + b"{}]", is_csv=False)
