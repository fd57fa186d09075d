"""The byte format of a chunk: the readings of one series on one UTC day.

All numbers are little-endian. A chunk is

    u8   version, 1
    u8   form of the times: 0 regular, 1 short steps, 2 long steps
    u16  0
    u32  n, the number of readings, at least 1
    i64  the first time, microseconds since 1970 UTC
    ...  the other times, as their form says:
           0: one i64, the step between any two neighbours
           1: n - 1 times u32, the step from each time to the next
           2: n - 1 times i64, likewise
    f64  n values, in the order of the times, which grow strictly
"""

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from signalbox.grid.errors import BrokenChunkError

VERSION: Final = 1

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

_HEAD: Final = struct.Struct("<BBHIq")
_REGULAR, _SHORT, _LONG = 0, 1, 2
_STEP: Final = struct.Struct("<q")
_SHORT_END: Final = 2**32


def encode_chunk(at: Times, value: Values) -> bytes:
    """The bytes of at least one reading; times grow strictly."""
    steps = at[1:] - at[:-1]
    values = value.astype("<f8", copy=False).tobytes()
    if not len(steps):
        return _head(_SHORT, at) + values
    first, largest = int(steps[0]), int(steps.max())
    if largest == first and bool((steps == first).all()):
        return _head(_REGULAR, at) + _STEP.pack(first) + values
    if largest < _SHORT_END:
        return _head(_SHORT, at) + steps.astype("<u4").tobytes() + values
    return _head(_LONG, at) + steps.astype("<i8").tobytes() + values


def decode_chunk(data: bytes) -> tuple[Times, Values]:
    """Times and values of a chunk.

    Raises:
        BrokenChunkError: it is of a version or form that is not known, or cut off.
    """
    try:
        version, form, _, n, first = _HEAD.unpack_from(data)
        if version != VERSION or form > _LONG:
            msg = f"a chunk has version {version}, form {form}; known is version {VERSION}"
            raise BrokenChunkError(msg)
        if form == _REGULAR:
            (step,) = _STEP.unpack_from(data, _HEAD.size)
            at, end = first + step * np.arange(n, dtype=np.int64), _HEAD.size + _STEP.size
        else:
            kind = np.dtype("<u4") if form == _SHORT else np.dtype("<i8")
            steps = np.frombuffer(data, kind, n - 1, _HEAD.size)
            at, end = np.empty(n, dtype=np.int64), _HEAD.size + steps.nbytes
            at[0] = first
            np.cumsum(steps, dtype=np.int64, out=at[1:])
            at[1:] += first
        return at, np.frombuffer(data, "<f8", n, end)
    except (struct.error, ValueError) as error:
        msg = f"a chunk is cut off: {error}"
        raise BrokenChunkError(msg) from error


def _head(form: int, at: Times) -> bytes:
    return _HEAD.pack(VERSION, form, 0, len(at), int(at[0]))
