"""Makes blocks of the texts in Parquet parts, column by column: no text becomes an object of Python's on its way."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from signalbox.conversations.blocks import COLUMNS, ROWS, Texts, encode
from signalbox.conversations.dataset import Dataset
from signalbox.conversations.parts import Table, read_batches
from signalbox.conversations.schemas import KINDS
from signalbox.conversations.vectors import Bools, Int32

BATCH: Final = 128 * ROWS
"""Rows that are read at a time."""

_OF_KIND: Final = {"conversation": ("question", "answer"), "monologue": ("speaker", "content")}

_SEQUENCE: Final = "sequence"
_SCHEMA: Final = pa.schema([(_SEQUENCE, pa.float64()), *((name, pa.string()) for name in COLUMNS)])


class Packed(NamedTuple):
    """A block."""

    first: int
    """Number of its first row."""
    rows: int
    data: bytes


def pack(dataset: Dataset, taken: Bools) -> Iterator[list[Packed]]:
    """The blocks of all conversations, then of all monologues, a few at a time.

    ``taken`` tells which rows are items; the others have a place but no texts.

    Raises:
        CorruptPartError: a part cannot be read.
    """
    done, rest = 0, _SCHEMA.empty_table()
    for kind in KINDS:
        for part in dataset.parts[kind]:
            for read in read_batches(part, [f"{_SEQUENCE}_{kind}", *_OF_KIND[kind]], rows=BATCH):
                first = done + len(rest)
                table = pa.concat_tables([rest, _normal(read, kind, taken[first : first + read.rows])])
                whole = len(table) // ROWS * ROWS
                yield _blocks(table.slice(0, whole), done)
                done, rest = done + whole, table.slice(whole)
    yield _blocks(rest, done)


def _normal(read: Table, kind: str, taken: Bools) -> Any:
    """Rows of one kind in the columns that both kinds have."""
    columns = [pa.array(read.floats(f"{_SEQUENCE}_{kind}")), *(read.strings(name) for name in COLUMNS)]
    if not taken.all():
        mask = pa.array(taken)
        columns = [pc.if_else(mask, column, pa.scalar(None, column.type)) for column in columns]
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


def _blocks(table: Any, first: int) -> list[Packed]:
    if not len(table):
        return []
    sequences = pc.fill_null(table[_SEQUENCE], float("nan")).to_numpy()
    columns = [_Column(table[name].combine_chunks()) for name in COLUMNS]
    found = []
    for at in range(0, len(table), ROWS):
        end = min(at + ROWS, len(table))
        data = encode(sequences[at:end], [column.texts(at, end) for column in columns])
        found.append(Packed(first + at, end - at, data))
    return found


class _Column:
    """A column of texts as Arrow keeps it: where each ends, and all of them behind one another."""

    def __init__(self, array: Any) -> None:
        self._empty = array.null_count == len(array)
        if self._empty:
            return
        known = np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False), dtype=np.bool_)
        whole = pc.fill_null(array, "")
        _, offsets, data = whole.buffers()
        self._starts = np.frombuffer(offsets, np.int32)[whole.offset : whole.offset + len(whole) + 1]
        self._lengths: Int32 = np.where(known, np.diff(self._starts), np.int32(-1)).astype(np.int32)
        self._known = known
        self._data = memoryview(data or b"")

    def texts(self, begin: int, end: int) -> Texts | None:
        """Those of some rows; None where none of them has one."""
        if self._empty or not self._known[begin:end].any():
            return None
        return Texts(self._lengths[begin:end], bytes(self._data[self._starts[begin] : self._starts[end]]))
