"""What stands in conversations and monologues, in blocks of ``ROWS`` each: one row of the database instead of many.

A block is little-endian: a byte 1 (the version of this format), a byte with bit k set where column k of ``COLUMNS`` is
there, the number of its rows as two bytes; the sequence of each row as a double, NaN where there is none; for each column
that is there the length in bytes of each row's text as four bytes, -1 where there is none; the texts of the first column
in UTF-8, one behind the other, then those of the next. A row that is no item of its own has none.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from signalbox.conversations.vectors import Floats, Int32

ROWS: Final = 64
"""A power of two. Few, since whoever asks for one row reads all of them; many, since each block costs some 10 us."""
COLUMNS: Final = ("question", "answer", "speaker", "content")
READ: Final = (0, 1, 3)
"""Columns whose words can be searched for."""

_HEAD: Final = struct.Struct("<BBH")
_VERSION: Final = 1


class Texts(NamedTuple):
    """A column of a block."""

    lengths: Int32
    """Bytes of each text; -1 where there is none."""
    data: bytes


class Content(NamedTuple):
    """What stands in one conversation or monologue."""

    sequence: float | None
    question: str | None
    answer: str | None
    speaker: str | None
    content: str | None


def encode(sequences: Floats, columns: Sequence[Texts | None]) -> bytes:
    """A block of so many rows as there are sequences; ``columns`` in the order of ``COLUMNS``, None where one has no text."""
    there = [each for each in columns if each is not None]
    flags = sum(1 << place for place, each in enumerate(columns) if each is not None)
    lengths = [each.lengths.astype("<i4", copy=False).tobytes() for each in there]
    head = _HEAD.pack(_VERSION, flags, len(sequences))
    return b"".join((head, sequences.astype("<f8", copy=False).tobytes(), *lengths, *(each.data for each in there)))


class Block:
    """The rows of a block.

    Raises:
        ValueError: it has another format.
    """

    def __init__(self, data: bytes) -> None:
        version, flags, rows = _HEAD.unpack_from(data)
        if version != _VERSION:
            msg = f"a block of conversations has the format {version}; this release reads {_VERSION}"
            raise ValueError(msg)
        there = [place for place in range(len(COLUMNS)) if flags >> place & 1]
        begin = _HEAD.size + 8 * rows
        lengths = np.frombuffer(data, "<i4", rows * len(there), begin)
        ends = np.cumsum(np.maximum(lengths, 0), dtype=np.int64) + begin + lengths.nbytes
        self.rows: int = rows
        self._data = data
        self._sequences: list[float] = np.frombuffer(data, "<f8", rows, _HEAD.size).tolist()
        self._lengths: list[int] = lengths.tolist()
        self._ends: list[int] = ends.tolist()
        self._first = {place: at * rows for at, place in enumerate(there)}

    def content(self, row: int) -> Content:
        """What stands in a row."""
        sequence = self._sequences[row]
        texts = [self._text(column, row) for column in range(len(COLUMNS))]
        return Content(None if sequence != sequence else sequence, *texts)  # noqa: PLR0124 - NaN is not itself

    def words(self) -> list[str]:
        """Of each row all that is searched for words, as one text; empty where there is nothing."""
        columns = [self._column(place) for place in READ if place in self._first]
        if len(columns) == 1:
            return columns[0]
        return [" ".join(texts) for texts in zip(*columns, strict=True)] or [""] * self.rows

    def _column(self, place: int) -> list[str]:
        """The texts of a column; empty where there is none."""
        first = self._first[place]
        ends, lengths = self._ends[first : first + self.rows], self._lengths[first : first + self.rows]
        begin = ends[0] - max(lengths[0], 0)
        data = self._data[begin : ends[-1]]
        bounds = [0, *(end - begin for end in ends)]
        if not data.isascii():  # a character is a byte only in ASCII, where all are decoded at once
            return [data[start:end].decode() for start, end in pairwise(bounds)]
        text = data.decode()
        return [text[start:end] for start, end in pairwise(bounds)]

    def _text(self, column: int, row: int) -> str | None:
        first = self._first.get(column)
        if first is None or (length := self._lengths[first + row]) < 0:
            return None
        end = self._ends[first + row]
        return self._data[end - length : end].decode()
