"""Bringing files of readings in, in steps so short that nobody waits."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from sqlalchemy import Connection

from signalbox.grid import chunk_store, intake
from signalbox.grid.merging import Marks, Readings, bucket_starts, sort, split
from signalbox.grid.pace import Pace, read_version
from signalbox.grid.reading_files import Batch, Rejected, read_file
from signalbox.grid.rollups import Index
from signalbox.grid.series import WIDTH
from signalbox.infra.db import Database


class Taken(NamedTuple):
    """What became of some readings, by their places."""

    inserted: Marks
    unknown: Marks
    """There is no such component."""
    seconds: float
    """How long others could not write."""
    version: int
    """See ``pace.read_version``."""


@dataclass
class Outcome:
    """What became of the rows so far."""

    rows: int = 0
    inserted: int = 0
    duplicates: int = 0
    rejected: int = 0


def insert_known(tx: Connection, piece: Readings, *, watched_at: int | None = None) -> Taken:
    """Insert those of sorted readings whose component there is; nobody deletes it meanwhile.

    Threshold rules are held against them where ``watched_at``, the present in microseconds UTC, is given.
    """
    chunk_store.own(tx)
    began, version = time.perf_counter(), read_version(tx)
    inserted, unknown = _insert_known(tx, piece, watched_at)
    return Taken(inserted, unknown, time.perf_counter() - began, version)


async def import_file(
    db: Database,
    path: Path,
    *,
    rejects: TextIO | None = None,
    watched_at: int | None = None,
    told: Callable[[Outcome], None],
) -> Outcome:
    """Bring a file in; ``told`` hears after each step how it stands. Rows that are there already are counted.

    What is committed stays, so after a crash the same file is brought in again and completes what is missing.
    Rejected rows go to ``rejects`` as CSV, with file, row and reason. Threshold rules are held against the readings
    where ``watched_at``, the present, is given: files are mostly about the past.

    Raises:
        BadFileError: it cannot be read.
        MissingExtraError: PyArrow is not installed.
    """
    outcome, batches, pace = Outcome(), read_file(path), Pace()
    following = _read_next(batches)
    try:
        while (batch := await following) is not None:
            following = _read_next(batches)  # while this one is written: neither waits for the other's disk
            outcome.rows += batch.size
            wrong = [*batch.rejected, *await _insert(db, batch, outcome, pace=pace, watched_at=watched_at)]
            outcome.rejected += len(wrong)
            if rejects is not None:
                rejects.writelines(f"{_quoted(str(path))},{row},{_quoted(reason)}\n" for row, reason in sorted(wrong))
            told(outcome)
    finally:
        await asyncio.gather(following, return_exceptions=True)
    return outcome


def _read_next(batches: Iterator[Batch]) -> asyncio.Task[Batch | None]:
    return asyncio.create_task(asyncio.to_thread(next, batches, None))


def _insert_known(tx: Connection, piece: Readings, watched_at: int | None) -> tuple[Marks, Marks]:
    insert = intake.insert if watched_at is None else partial(intake.insert_watched, now=watched_at)
    component = piece.series // WIDTH
    wanted = set(component[bucket_starts(piece)].tolist())
    there = chunk_store.find_known(tx, wanted)
    if there == wanted:  # spares columns of millions their copies
        return insert(tx, piece), np.zeros(len(component), dtype=np.bool_)
    known = np.isin(component, list(there))
    inserted = np.zeros(len(known), dtype=np.bool_)
    inserted[known] = insert(tx, piece.take(known))
    return inserted, ~known


async def _insert(
    db: Database, batch: Batch, outcome: Outcome, *, pace: Pace, watched_at: int | None
) -> list[Rejected]:
    ordered, order = await asyncio.to_thread(sort, batch.readings)
    rows: Index = batch.rows if order is None else batch.rows[order]
    wrong: list[Rejected] = []
    first = 0
    for piece in split(ordered, size=lambda: pace.size):
        await asyncio.sleep(pace.pause)
        taken = await db.write(insert_known, piece, watched_at=watched_at)
        pace.note(len(piece.at), taken.seconds)
        pace.note_version(taken.version)
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
