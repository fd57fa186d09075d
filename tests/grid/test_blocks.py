"""Building blocks; that they hold what their rollups say is tried by ``test_intake.py``."""

import numpy as np
import sqlalchemy as sa

from signalbox.core.times import DAY
from signalbox.grid import block_store, blocks, chunk_store
from signalbox.grid.block_store import Place
from signalbox.grid.blocks import ROLLUPS, build_blocks
from signalbox.grid.merging import Readings
from signalbox.grid.models import block
from signalbox.grid.rollups import HOURS, unpack
from signalbox.grid.series import to_series
from tests.grid.test_intake import lines


def write(tx: sa.Connection, made: list[int], days: int) -> None:
    series = np.repeat([to_series(number, "POWER") for number in made], days)
    at = np.tile(np.arange(days) * DAY, len(made))
    chunk_store.write_chunks(tx, Readings(series, at, np.arange(len(at), dtype=float)))


def test_days_that_are_over_are_built_in_steps(engine: sa.Engine) -> None:
    with lines(engine, 3) as (tx, made):
        write(tx, made, 4)
        assert [build_blocks(tx, now=2 * DAY + 5, limit=limit) for limit in (1, 9, 9)] == [1, 1, 0]
        assert [place.day for place in block_store.find_stale(tx, before=9, limit=9)] == [2, 3]
        first, _ = tx.execute(sa.select(block).order_by(block.c.day)).all()
        (hours,) = unpack([bytes(first.hours)], HOURS)
        assert (first.groups, hours["n"].sum(), hours["mean"][0]) == ('[["LINE", 2]]', 3, 4.0)
        chunk_store.delete_readings(tx, made[0])
        for number in made[1:]:
            chunk_store.delete_readings(tx, number)
        assert build_blocks(tx, now=9 * DAY, limit=9) == 4
        assert tx.execute(sa.select(block)).all() == []


def test_a_step_reads_no_more_than_it_should(engine: sa.Engine) -> None:
    with lines(engine, 3) as (tx, made):
        days = ROLLUPS // 3 + 10
        write(tx, made, days)
        assert build_blocks(tx, now=days * DAY, limit=2 * days) == ROLLUPS // 3 + 1
        assert block_store.find_stale(tx, before=days, limit=1) == [Place(ROLLUPS // 3 + 1, made[0] // 256)]
        assert blocks.build_blocks(tx, now=days * DAY, limit=2 * days) == 9
