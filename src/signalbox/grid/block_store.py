"""Queries about blocks: all series of 256 neighbouring ids on a UTC day, added up by type of component and of measurement.

A report reads one row of a block and day instead of hundreds of rollups. A block with readings in chunks is either built or
stale. Whoever changes its rollups, or a component's type, makes it stale in the same transaction, and what is stale is
read from the rollups; a sweep builds it, see ``blocks.py``.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, Delete, and_, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.grid.blobs import fetch_blobs
from signalbox.grid.models import block, chunk, component, rollup, stale_block
from signalbox.grid.rollups import Index
from signalbox.grid.series import WIDTH
from signalbox.infra.db.rows import DIALECTS, encode_rows, is_bound_row

COMPONENTS: Final = 256
"""Ids of a block. A step that builds one reads at most three rollups for each: some 20 ms."""
SERIES: Final = COMPONENTS * WIDTH

AT_ONCE: Final = 400
PAGE: Final = 500
"""Blocks that a report holds in memory at once: 15 MB of quarters, if each has nine groups."""

_MARK: Final = {
    dialect: insert(stale_block).on_conflict_do_nothing(index_elements=["day", "block"])
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_DELETE: Final[dict[str, Delete]] = {
    each: delete(block).where(is_bound_row(each, (block.c.day, block.c.block), "places")) for each in DIALECTS
}


class Place(NamedTuple):
    """A block on a day."""

    day: int
    block: int


class Group(NamedTuple):
    """What a block adds up."""

    component_type: str
    measured: int
    """Number of a type of measurement, as in a series."""


class BlockRow(NamedTuple):
    """What a report reads of a block."""

    day: int
    block: int
    groups: str
    """JSON: its groups."""
    parts: bytes
    """Hours or quarters of one group behind those of the other; see ``rollups.unpack``."""


IS_STALE: Final[ColumnElement[bool]] = and_(
    rollup.c.day == stale_block.c.day,
    rollup.c.series >= stale_block.c.block * SERIES,
    rollup.c.series < (stale_block.c.block + 1) * SERIES,
)
"""Joins stale blocks with their rollups."""


def make_stale(tx: Connection, series: Index, days: Index) -> None:
    """Say that the rollups of these series on these days are to change; both have the same length."""
    pairs = np.unique(np.stack([days, series // SERIES], axis=1), axis=0)
    places = [Place(*pair) for pair in pairs.tolist()]
    for start in range(0, len(places), AT_ONCE):
        some = places[start : start + AT_ONCE]
        tx.execute(_MARK[tx.dialect.name], [each._asdict() for each in some])
        tx.execute(_DELETE[tx.dialect.name], {"places": encode_rows(some)})


def make_component_stale(tx: Connection, number: int) -> None:
    """Say that the readings of a component are to go, or to count for another type."""
    first = number * WIDTH
    query = select(rollup.c.series, rollup.c.day).where(rollup.c.series >= first, rollup.c.series < first + WIDTH)
    rows = tx.execute(query).all()
    if rows:
        series, days = zip(*rows, strict=True)
        make_stale(tx, np.array(series), np.array(days))


def find_stale(tx: Connection, *, before: int, limit: int) -> list[Place]:
    """Stale blocks of days before ``before``, the oldest first."""
    columns = stale_block.c.day, stale_block.c.block
    query = select(*columns).where(stale_block.c.day < before).order_by(*columns).limit(limit)
    return [Place(*row) for row in tx.execute(query)]


def read_members(tx: Connection, place: Place) -> Sequence[Any]:
    """Series, hours, quarters and type of component of each rollup of a block, by series."""
    first = place.block * SERIES
    joined = rollup.join(chunk, and_(chunk.c.series == rollup.c.series, chunk.c.day == rollup.c.day)).join(
        component, component.c.id == rollup.c.series // WIDTH
    )
    query = select(rollup.c.series, rollup.c.hours, chunk.c.quarters, component.c.component_type).select_from(joined)
    within = and_(rollup.c.day == place.day, rollup.c.series >= first, rollup.c.series < first + SERIES)
    return tx.execute(query.where(within).order_by(rollup.c.series)).all()


def read_blocks(
    tx: Connection, first: int, last: int, *, by_quarter: bool, page: int = PAGE
) -> Iterator[list[BlockRow]]:
    """Built blocks of the days from ``first`` to ``last``, both included, by day; in pages."""
    key, parts = tuple_(block.c.day, block.c.block), block.c.quarters if by_quarter else block.c.hours
    query = select(block.c.day, block.c.block, block.c.groups, parts).where(block.c.day <= last)
    query, behind, full = query.order_by(block.c.day, block.c.block).limit(page), (first, -1), True
    while full:
        rows = [BlockRow._make(row) for row in fetch_blobs(tx, query.where(key > behind))]
        if rows:
            yield rows
            behind = rows[-1][:2]
        full = len(rows) == page


def write_block(tx: Connection, place: Place, groups: Sequence[Group], *, hours: bytes, quarters: bytes) -> None:
    """Have a block built, which is stale; without groups it holds nothing any more."""
    is_it = and_(stale_block.c.day == place.day, stale_block.c.block == place.block)
    tx.execute(delete(stale_block).where(is_it))
    if groups:
        values = {"groups": json.dumps(groups), "hours": hours, "quarters": quarters}
        tx.execute(block.insert(), {**place._asdict(), **values})
