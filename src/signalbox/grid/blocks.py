"""Building blocks: the rollups of many series become those of a few groups."""

from typing import Final

import numpy as np
from sqlalchemy import Connection

from signalbox.core.times import DAY
from signalbox.grid import block_store, chunk_store
from signalbox.grid.block_store import Group, Place
from signalbox.grid.rollups import HOURS, QUARTERS, Index, Sums, merge_groups, pack, unpack
from signalbox.grid.series import WIDTH

ROLLUPS: Final = 1_000
"""Rollups that one step reads, or those of one block: well under 100 ms."""


def build_blocks(tx: Connection, *, now: int, limit: int) -> int:
    """Build at most ``limit`` stale blocks of days that are over; how many it were, 0 when none is left.

    Today's would be stale again at once: what is measured comes into it all day.
    """
    chunk_store.own(tx)  # before looking: nobody makes it stale between
    built = read = 0
    for place in block_store.find_stale(tx, before=now // DAY, limit=limit):
        read += _build(tx, place)
        built += 1
        if read >= ROLLUPS:
            break
    return built


def _build(tx: Connection, place: Place) -> int:
    members = block_store.read_members(tx, place)
    keys = [Group(row.component_type, row.series % WIDTH) for row in members]
    groups = sorted(set(keys))
    codes = {key: code for code, key in enumerate(groups)}
    group = np.array([codes[key] for key in keys], np.int64)
    hours = _merge([bytes(row.hours) for row in members], group, width=HOURS)
    quarters = _merge([bytes(row.quarters) for row in members], group, width=QUARTERS)
    block_store.write_block(tx, place, groups, hours=hours, quarters=quarters)
    return len(members)


def _merge(rows: list[bytes], group: Index, *, width: int) -> bytes:
    """Add rows up by the group of each; a row for each group, one behind the other."""
    pieces, count = unpack(rows, width), len(set(group.tolist()))
    row, column = np.nonzero(pieces["n"])
    taken = pieces[row, column]
    parts = Sums(*(taken[name] for name in Sums._fields))
    merged = merge_groups(parts, group[row] * width + column, count * width)
    there = np.flatnonzero(merged.n)
    return b"".join(pack(merged.take(there), there, rows=count, width=width))
