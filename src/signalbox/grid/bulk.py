"""Bringing files of readings in, in steps so short that nobody waits."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import numpy as np
from sqlalchemy import Connection

from signalbox.grid import chunk_store, intake
from signalbox.grid.merging import Marks, Readings, sort, split
from signalbox.grid.reading_files import Batch, Rejected, read_file
from signalbox.grid.rollups import Index
from signalbox.grid.series import WIDTH
from signalbox.infra.db import Database

STEP: Final = 150_000
"""Readings in one transaction: well under 100 ms, so that other writers hardly notice."""


class Taken(NamedTuple):
    """What became of some readings, by their places."""

    inserted: Marks
    unknown: Marks
    """There is no such component."""


@dataclass
class Outcome:
    """What became of the rows so far."""

    rows: int = 0
    inserted: int = 0
    duplicates: int = 0
    rejected: int = 0


def insert_known(tx: Connection, piece: Readings) -> Taken:
    """Insert those readings whose component there is; nobody deletes it meanwhile."""
    chunk_store.own(tx)
    component = piece.series // WIDTH
    known = np.isin(component, list(chunk_store.find_known(tx, np.unique(component).tolist())))
    inserted = np.zeros(len(known), dtype=np.bool_)
    inserted[known] = intake.insert(tx, piece.take(known))
    return Taken(inserted, ~known)


async def import_file(
    db: Database, path: Path, *, rejects: TextIO | None = None, told: Callable[[Outcome], None]
) -> Outcome:
    """Bring a file in; ``told`` hears after each step how it stands. Rows that are there already are counted.

    What is committed stays, so after a crash the same file is brought in again and completes what is missing.
    Rejected rows go to ``rejects`` as CSV, with file, row and reason.

    Raises:
        BadFileError: it cannot be read.
        MissingExtraError: PyArrow is not installed.
    """
    outcome, batches = Outcome(), read_file(path)
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        outcome.rows += batch.size
        wrong = [*batch.rejected, *await _insert(db, batch, outcome)]
        outcome.rejected += len(wrong)
        if rejects is not None:
            rejects.writelines(f"{_quoted(str(path))},{row},{_quoted(reason)}\n" for row, reason in sorted(wrong))
        told(outcome)
    return outcome


async def _insert(db: Database, batch: Batch, outcome: Outcome) -> list[Rejected]:
    ordered, order = await asyncio.to_thread(sort, batch.readings)
    rows: Index = batch.rows if order is None else batch.rows[order]
    wrong: list[Rejected] = []
    first = 0
    for piece in split(ordered, size=STEP):
        taken = await db.write(insert_known, piece)
        outcome.inserted += int(taken.inserted.sum())
        outcome.duplicates += int((~taken.inserted & ~taken.unknown).sum())
        wrong += [
            Rejected(int(rows[first + place]), f"there is no component {piece.series[place] // WIDTH}")
            for place in np.flatnonzero(taken.unknown).tolist()
        ]
        first += len(piece.at)
    return wrong


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
