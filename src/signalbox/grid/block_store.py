"""Queries about blocks: all series of 256 neighbouring ids on a UTC day, added up by type of component and of measurement.

A report reads a few rows of a block instead of hundreds of rollups. A block with readings in chunks is either built or
stale. Whoever changes its rollups, or a component's type, makes it stale in the same transaction, and what is stale is
read from the rollups; a sweep builds it, see ``blocks.py``.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.grid.models import block, chunk, component, rollup, stale_block
from signalbox.grid.rollups import Index
from signalbox.grid.series import WIDTH

COMPONENTS: Final = 256
"""Ids of a block. A step that builds one reads at most three rollups for each: some 20 ms."""
SERIES: Final = COMPONENTS * WIDTH

AT_ONCE: Final = 400

_MARK: Final = {
    dialect: insert(stale_block).on_conflict_do_nothing(index_elements=["day", "block"])
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


class Place(NamedTuple):
    """A block on a day."""

    day: int
    block: int


class Group(NamedTuple):
    """What a block holds of one type of component and of measurement; see ``rollups.pack``."""

    component_type: str
    measured: int
    hours: bytes
    quarters: bytes


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
        tx.execute(delete(block).where(tuple_(block.c.day, block.c.block).in_([tuple(each) for each in some])))


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


def write_block(tx: Connection, place: Place, groups: Sequence[Group]) -> None:
    """Have a block built, which is stale."""
    is_it = and_(stale_block.c.day == place.day, stale_block.c.block == place.block)
    tx.execute(delete(stale_block).where(is_it))
    if groups:
        tx.execute(block.insert(), [{**place._asdict(), **group._asdict()} for group in groups])
