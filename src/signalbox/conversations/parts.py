"""Reads columns of Parquet parts into arrays. Whatever their types, they become numbers, texts or nothing."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from signalbox.conversations.dataset import Part
from signalbox.conversations.errors import CorruptPartError, InvalidDatasetError
from signalbox.conversations.vectors import Bools, Floats, Ints

_NUMBER = r"^\s*[+-]?\d{1,18}(\.\d{0,15})?\s*$"


class Numbers(NamedTuple):
    """Whole numbers, and which of them are there."""

    values: Ints
    known: Bools


class Encoded(NamedTuple):
    """A column of texts that repeat."""

    texts: list[str | None]
    codes: Ints
    """For each row the place of its text, -1 where there is none."""


class Table(NamedTuple):
    """Rows of one part."""

    part: Part
    rows: int
    columns: dict[str, Any]
    """Those that were asked for and are there, as pyarrow has them."""

    def numbers(self, name: str) -> Numbers:
        """A column of whole numbers; values that are none are not known."""
        values = self.floats(name) if not self._is_integer(name) else None
        if values is None:
            column = self.columns[name]
            known = np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), dtype=np.bool_)
            whole = pc.fill_null(pc.cast(column, pa.int64(), safe=False), 0)
            return Numbers(whole.to_numpy(zero_copy_only=False).astype(np.int64), known)
        known = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2**53)
        return Numbers(np.where(known, values, 0).astype(np.int64), known)

    def floats(self, name: str) -> Floats:
        """A column of numbers; NaN where there is none."""
        column = self.columns.get(name)
        if column is None:
            return np.full(self.rows, np.nan)
        if _is_text(column.type):
            column = pc.if_else(pc.match_substring_regex(column, _NUMBER), pc.utf8_trim_whitespace(column), None)
        return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)

    def strings(self, name: str) -> Any:
        """A column of texts as pyarrow has it, without the NUL that PostgreSQL refuses.

        Raises:
            CorruptPartError: a text is not UTF-8.
        """
        if name not in self.columns:
            return pa.nulls(self.rows, pa.string())
        column = self.columns[name]
        if column.type != pa.string():
            column = checked(self.part, lambda: pc.cast(column, pa.string()))
        checked(self.part, lambda: column.validate(full=True))
        if _may_have_nul(column):
            column = pc.replace_substring(column, "\0", "\ufffd")
        return column

    def texts(self, name: str) -> list[str | None]:
        """A column of texts; see ``strings``."""
        found: list[str | None] = self.strings(name).to_pylist()
        return found

    def encoded(self, name: str) -> Encoded:
        """A column of texts, each different one once."""
        column = self.columns[name]
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        different = Table(self.part, len(column.dictionary), {name: column.dictionary})
        codes = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
        return Encoded(different.texts(name), codes.astype(np.int64))

    def _is_integer(self, name: str) -> bool:
        return name in self.columns and pa.types.is_integer(self.columns[name].type)


def read_whole(part: Part, columns: Sequence[str], *, required: Sequence[str]) -> Table:
    """All rows of a part, of the columns that it has.

    Raises:
        CorruptPartError: the file cannot be read.
        InvalidDatasetError: a required column is missing.
    """
    with _open(part) as file:
        wanted = _wanted(part, file, columns, required)
        table = checked(part, lambda: file.read(columns=wanted, use_threads=False))
    return Table(part, file.metadata.num_rows, {name: table.column(name).combine_chunks() for name in wanted})


def read_batches(part: Part, columns: Sequence[str], *, rows: int) -> Iterator[Table]:
    """The rows of a part, so many at a time.

    Raises:
        CorruptPartError: the file cannot be read.
    """
    with _open(part) as file:
        wanted = _wanted(part, file, columns, ())
        batches = file.iter_batches(batch_size=rows, columns=wanted, use_threads=False)
        while (batch := checked(part, lambda: next(batches, None))) is not None:
            yield Table(part, batch.num_rows, {name: batch.column(name) for name in wanted})


def checked(part: Part, read: Callable[[], Any]) -> Any:
    """What ``read`` returns.

    Raises:
        CorruptPartError: it failed because of what stands in the part.
    """
    try:
        return read()
    except (pa.ArrowException, OSError, ValueError) as error:  # a text that is not UTF-8 is a ValueError
        msg = f"{part.name} cannot be read: {str(error).strip().partition(chr(10))[0]}"
        raise CorruptPartError(msg) from error


def _open(part: Part) -> Any:
    return checked(part, lambda: pq.ParquetFile(part.path))


def _wanted(part: Part, file: Any, columns: Sequence[str], required: Sequence[str]) -> list[str]:
    there = set(file.schema_arrow.names)
    missing = [name for name in required if name not in there]
    if missing and file.metadata.num_rows:
        msg = f"{part.name} has no column {' and no column '.join(missing)}"
        raise InvalidDatasetError(msg)
    return [name for name in columns if name in there]


def _may_have_nul(column: Any) -> bool:
    """Whether the bytes of texts hold a 0, be it in rows beside those of the column; searching each row takes much longer."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    data = [chunk.buffers()[2] for chunk in chunks]
    return any(each is not None and each.size and not np.frombuffer(each, np.uint8).min() for each in data)


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
