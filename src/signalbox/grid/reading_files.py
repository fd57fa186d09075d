"""Files of readings: CSV, NDJSON and Parquet, a batch of rows after the other."""

import csv
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from signalbox.core.times import MICROSECONDS, to_micros
from signalbox.grid.arrow import load_pyarrow
from signalbox.grid.doors import decode_row
from signalbox.grid.errors import BadFileError
from signalbox.grid.intake import why_not
from signalbox.grid.merging import Readings
from signalbox.grid.rollups import Index
from signalbox.grid.schemas import EARLIEST, LARGEST_VALUE, LATEST, OUT_OF_TIME, NewReading
from signalbox.grid.series import LARGEST_ID, MEASUREMENT_TYPES, WIDTH, to_series

COLUMNS: Final = ("component_id", "timestamp", "value", "measurement_type")
ROWS: Final = 500_000
"""Rows in a batch of Parquet: 16 MB as numbers."""
BLOCK: Final = 16 * 1024 * 1024
"""Bytes in a batch of CSV."""
LINES: Final = 50_000


class Rejected(NamedTuple):
    """A row that cannot be taken."""

    row: int
    """From 1 on, without the line of names."""
    reason: str


class Batch(NamedTuple):
    """Some rows of a file."""

    readings: Readings
    rows: Index
    """Which row each reading was."""
    rejected: list[Rejected]
    size: int
    """How many rows these are."""


def read_file(path: Path) -> Iterator[Batch]:
    """The rows of a file, by the end of its name: .csv, .ndjson, .jsonl or .parquet.

    Raises:
        BadFileError: it cannot be read as that, or lacks a column.
        MissingExtraError: PyArrow is not installed.
    """
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".ndjson": _read_ndjson, ".jsonl": _read_ndjson}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        msg = f"{path} is none of {', '.join(sorted(readers))} by its name"
        raise BadFileError(msg)
    try:
        yield from reader(path)
    except (OSError, ValueError) as error:  # PyArrow's errors are ValueErrors
        if isinstance(error, BadFileError):
            raise
        msg = f"{path} cannot be read: {error}"
        raise BadFileError(msg) from error


def count_rows(path: Path) -> int | None:
    """How many rows a file has, where it says so itself."""
    if path.suffix.lower() != ".parquet":
        return None
    try:
        return int(load_pyarrow().parquet.read_metadata(path).num_rows)
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise BadFileError(msg) from error


def _read_parquet(path: Path) -> Iterator[Batch]:
    pa = load_pyarrow()
    with pa.parquet.ParquetFile(path, pre_buffer=False) as file:  # else it keeps all that it has read of the file
        _check_columns(path, file.schema_arrow.names)
        _check_times(path, file.schema_arrow.field("timestamp").type)
        first = 1
        for batch in file.iter_batches(ROWS, columns=list(COLUMNS)):
            yield _convert(batch, np.arange(first, first + batch.num_rows), [])
            first += batch.num_rows


def _read_csv(path: Path) -> Iterator[Batch]:
    """All cells are read as texts: a cell that is no number rejects its row and not the file."""
    pa = load_pyarrow()
    wrong: list[Rejected] = []

    def note(row: Any) -> str:
        reason = f"the line has {row.actual_columns} cells, the first has {row.expected_columns} names"
        wrong.append(Rejected(row.number - 1, reason))
        return "skip"

    with path.open(encoding="utf-8-sig", newline="") as text:
        _check_columns(path, next(csv.reader(text), []))
    with pa.csv.open_csv(
        path,
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=BLOCK),
        parse_options=pa.csv.ParseOptions(invalid_row_handler=note),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(COLUMNS, pa.string()), include_columns=list(COLUMNS)
        ),
    ) as reader:
        first = 1
        for batch in reader:
            skipped, wrong = wrong, []
            count = batch.num_rows + len(skipped)
            rows = np.setdiff1d(np.arange(first, first + count), [each.row for each in skipped], assume_unique=True)
            yield _convert(batch, rows, skipped)
            first += count


def _read_ndjson(path: Path) -> Iterator[Batch]:
    rows: list[tuple[int, NewReading]] = []
    wrong: list[Rejected] = []
    number = taken = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            _sort_in(number, line, rows, wrong)
            if number - taken >= LINES:
                yield _to_batch(rows, wrong, number - taken)
                rows, wrong, taken = [], [], number
    yield _to_batch(rows, wrong, number - taken)


def _sort_in(number: int, line: bytes, rows: list[tuple[int, NewReading]], wrong: list[Rejected]) -> None:
    if not line.strip():
        return
    row = decode_row(line)
    if isinstance(row, str):
        wrong.append(Rejected(number, row))
    elif (fault := why_not(row)) is not None:
        wrong.append(Rejected(number, fault.message))
    elif row.timestamp is None:
        wrong.append(Rejected(number, "the row has no timestamp"))
    else:
        rows.append((number, row))


def _to_batch(rows: list[tuple[int, NewReading]], wrong: list[Rejected], count: int) -> Batch:
    readings = Readings(
        np.array([to_series(row.component_id, row.measurement_type) for _, row in rows], np.int64),
        np.array([to_micros(row.timestamp) for _, row in rows if row.timestamp is not None], np.int64),
        np.array([row.value for _, row in rows], np.float64),
    )
    return Batch(readings, np.array([number for number, _ in rows], np.int64), wrong, count)


def _check_columns(path: Path, names: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        msg = f"{path} has no column {', '.join(missing)}; it needs {', '.join(COLUMNS)}"
        raise BadFileError(msg)


def _check_times(path: Path, kind: Any) -> None:
    """Numbers and dates name no instant: whoever wrote them knows their unit and their zone, the file does not say."""
    types = load_pyarrow().types
    plain = kind.value_type if types.is_dictionary(kind) else kind
    is_instant = types.is_timestamp(plain) and plain.tz is not None
    if not (is_instant or types.is_string(plain) or types.is_large_string(plain) or types.is_string_view(plain)):
        msg = (
            f"{path}: the column timestamp is {kind}; it must be a timestamp with a zone, such as timestamp[us, tz=UTC]"
        )
        raise BadFileError(msg)


def _convert(batch: Any, rows: Index, wrong: list[Rejected]) -> Batch:
    """A batch of PyArrow as readings. Each column is converted at once; where that fails, cell by cell."""
    pa = load_pyarrow()
    component, bad_component = _cast(batch.column("component_id"), pa.int64(), _to_id)
    at, bad_at = _to_instants(batch.column("timestamp"))
    value, bad_value = _cast(batch.column("value"), pa.float64(), float)
    kind, bad_kind = _to_codes(batch.column("measurement_type"))
    size = np.abs(np.where(bad_value, np.inf, value))
    reasons = (
        (bad_component | (component < 1) | (component > LARGEST_ID), "component_id is no id of a component"),
        (bad_at, "timestamp is no time with a zone, such as 2026-01-31T10:00:00Z"),
        ((at < EARLIEST) | (at > LATEST), OUT_OF_TIME),
        (~(size <= LARGEST_VALUE), "value is no finite number"),
        (bad_kind, f"measurement_type is none of {', '.join(MEASUREMENT_TYPES)}"),
    )
    bad = np.logical_or.reduce([marks for marks, _ in reasons])
    for place in np.flatnonzero(bad).tolist():
        reason = next(reason for marks, reason in reasons if marks[place])
        wrong.append(Rejected(int(rows[place]), reason))
    readings = Readings(component * WIDTH + kind, at, value).take(~bad)
    return Batch(readings, rows[~bad], wrong, len(rows) + len(wrong) - int(bad.sum()))


def _to_instants(column: Any) -> tuple[Any, Any]:
    """Microseconds UTC of a column, and which cells hold no time; nanoseconds are rounded down."""
    pa = load_pyarrow()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not pa.types.is_timestamp(column.type):
        return _cast_texts(column)
    ticks, missing = _cast(column, pa.int64(), int)
    if column.type.unit == "ns":
        return ticks // 1_000, missing
    factor = {"s": MICROSECONDS, "ms": 1_000, "us": 1}[column.type.unit]
    return np.clip(ticks, EARLIEST // factor - 1, LATEST // factor + 1) * factor, missing  # else they may wrap around


def _cast(column: Any, kind: Any, parse: Any) -> tuple[Any, Any]:
    """The numbers of a column, and which cells hold none."""
    pa = load_pyarrow()
    try:
        cast = column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        cast = pa.array([_parse(cell, parse) for cell in column.to_pylist()], kind)
    missing = cast.is_null().to_numpy(zero_copy_only=False)
    return cast.fill_null(0).to_numpy(zero_copy_only=False), missing


def _cast_texts(column: Any) -> tuple[Any, Any]:
    """Microseconds UTC of texts; PyArrow reads most, Python the rest."""
    pa = load_pyarrow()
    with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
        column = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return _cast(column, pa.int64(), _to_instant)


def _parse(cell: Any, parse: Any) -> Any:
    try:
        return parse(cell)
    except (ValueError, TypeError, OverflowError):
        return None


def _to_id(cell: Any) -> int:
    """A whole number that PyArrow can hold; 7.5 is none, and 7.0 is 7."""
    number = int(cell)
    if not 0 < number <= LARGEST_ID or not (isinstance(cell, str) or number == cell):
        msg = f"{cell} is no id"
        raise ValueError(msg)
    return number


def _to_instant(cell: str) -> int:
    """Microseconds UTC; for a time without a zone there is no instant."""
    return to_micros(datetime.fromisoformat(cell))


def _to_codes(column: Any) -> tuple[Any, Any]:
    pa = load_pyarrow()
    codes = pa.compute.index_in(column.cast(pa.string()), pa.array(MEASUREMENT_TYPES))
    return codes.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64), codes.is_null().to_numpy(
        zero_copy_only=False
    )
