"""How many no-op jobs were done, and when the first began: counted by each process that does some in a file of its own.

A job costs one addition in shared memory, the same for every engine.
"""

import mmap
import os
import struct
import time
from pathlib import Path

_SIZE = 16
_FORM = struct.Struct("dq")


class Progress:
    """What one process has done; made by the first job in it, so that processes that are forked do not share it."""

    def __init__(self) -> None:
        self._first, self._done, self._pid = 0.0, 0, 0
        self._shared: mmap.mmap | None = None

    def mark(self) -> None:
        """One more is done."""
        if self._shared is None or self._pid != os.getpid():
            self._begin()
        self._done += 1
        assert self._shared is not None
        _FORM.pack_into(self._shared, 0, self._first, self._done)

    def _begin(self) -> None:
        self._pid, self._first, self._done = os.getpid(), time.time(), 0
        place = Path(os.environ["PROGRESS"]) / f"progress-{self._pid}"
        place.write_bytes(bytes(_SIZE))
        with place.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _SIZE)


def read_progress(folder: Path) -> tuple[float, int]:
    """Return when the first job of all began (seconds since 1970), and how many were done."""
    contents = (place.read_bytes() for place in folder.glob("progress-*"))
    found = [_FORM.unpack(content) for content in contents if len(content) == _SIZE]  # else it is just being made
    begun = [each for each in found if each[1]]
    return min((first for first, _ in begun), default=0.0), sum(done for _, done in begun)
