"""What became of each row of a kind of files, counted for each file in the end."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from signalbox.conversations.schemas import FileReport
from signalbox.conversations.vectors import Bools


class Ledger:
    """Rows of several files, one behind the other. All are linked until something else is said of them."""

    def __init__(self, files: Sequence[tuple[str, int]]) -> None:
        self._names = [name for name, _ in files]
        self._bounds = np.cumsum([0, *(rows for _, rows in files)])
        self._marks = np.zeros(self._bounds[-1], dtype=np.int16)
        self._reasons: list[tuple[str, bool]] = []

    def __len__(self) -> int:
        return len(self._marks)

    def reject(self, rows: Bools, reason: str) -> None:
        """Rows that are not imported. The first reason stays."""
        self._mark(rows & ~self.rejected(), reason, rejects=True)

    def unlink(self, rows: Bools, reason: str) -> None:
        """Rows that are imported and belong to nothing. The first reason stays."""
        self._mark(rows & (self._marks == 0), reason, rejects=False)

    def rejected(self) -> Bools:
        """Which rows are not imported."""
        rejecting = [number for number, (_, rejects) in enumerate(self._reasons, 1) if rejects]
        return np.isin(self._marks, rejecting)

    def files(self) -> list[FileReport]:
        """The counts of each file."""
        return [self._file(name, *bounds) for name, bounds in zip(self._names, pairwise(self._bounds), strict=True)]

    def _mark(self, rows: Bools, reason: str, *, rejects: bool) -> None:
        if not rows.any():
            return
        if (reason, rejects) not in self._reasons:
            self._reasons.append((reason, rejects))
        self._marks[rows] = self._reasons.index((reason, rejects)) + 1

    def _file(self, name: str, begin: int, end: int) -> FileReport:
        linked, *counts = np.bincount(self._marks[begin:end], minlength=len(self._reasons) + 1).tolist()
        told = [
            (reason, rejects, count) for (reason, rejects), count in zip(self._reasons, counts, strict=True) if count
        ]
        return {
            "file": name,
            "read": int(end - begin),
            "linked": linked,
            "unlinked": sum(count for _, rejects, count in told if not rejects),
            "rejected": sum(count for _, rejects, count in told if rejects),
            "reasons": {reason: count for reason, _, count in told},
        }
