"""Queries about blocks; that they hold what their rollups say is tried by ``test_intake.py``."""

import numpy as np
import sqlalchemy as sa

from signalbox.core.times import DAY
from signalbox.grid import block_store, chunk_store, components, store
from signalbox.grid.block_store import SERIES, Group, Place
from signalbox.grid.kinds import check
from signalbox.grid.merging import Readings
from signalbox.grid.models import block
from signalbox.grid.series import to_series
from tests.grid.conftest import LINE
from tests.grid.test_intake import NOW, SWITCH, lines

PARTS = b"\0"


def stale(tx: sa.Connection) -> list[Place]:
    return block_store.find_stale(tx, before=2**31 - 1, limit=100)


def count(tx: sa.Connection) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(block)).scalar_one())


def test_a_block_is_stale_or_built(engine: sa.Engine) -> None:
    with lines(engine, 1) as (tx, _):
        block_store.make_stale(tx, np.array([1, 2, SERIES, 1]), np.array([5, 5, 5, 6]))
        assert stale(tx) == [Place(5, 0), Place(5, 1), Place(6, 0)]
        assert block_store.find_stale(tx, before=6, limit=1) == [Place(5, 0)]
        block_store.write_block(tx, Place(5, 0), [Group("LINE", 2), Group("LINE", 1)], hours=PARTS, quarters=PARTS)
        block_store.write_block(tx, Place(6, 0), [], hours=b"", quarters=b"")
        assert (stale(tx), count(tx)) == ([Place(5, 1)], 1)
        block_store.make_stale(tx, np.array([7]), np.array([5]))
        block_store.make_stale(tx, np.empty(0, np.int64), np.empty(0, np.int64))
        assert (stale(tx), count(tx)) == ([Place(5, 0), Place(5, 1)], 0)


def test_blocks_are_read_by_day_in_pages(engine: sa.Engine) -> None:
    with lines(engine, 1) as (tx, _):
        places = [Place(day, number) for day in (-1, 0, 2) for number in (0, 7)]
        for place in reversed(places):
            block_store.write_block(tx, place, [Group("LINE", 2)], hours=b"h%d" % place.day, quarters=b"q")
        pages = list(block_store.read_blocks(tx, -1, 2, by_quarter=False, page=3))
        assert [len(page) for page in pages] == [3, 3]
        assert [(row.day, row.block) for page in pages for row in page] == places
        assert pages[0][0] == (-1, 0, '[["LINE", 2]]', b"h-1")
        (page,) = block_store.read_blocks(tx, 0, 1, by_quarter=True)
        assert [(row.day, row.block, row.parts) for row in page] == [(0, 0, b"q"), (0, 7, b"q")]
        assert list(block_store.read_blocks(tx, 3, 9, by_quarter=True)) == []


def test_what_changes_a_component_makes_its_blocks_stale(engine: sa.Engine) -> None:
    with lines(engine, 2) as (tx, (number, other)):
        series = np.repeat([to_series(number, "POWER"), to_series(other, "POWER")], 2)
        chunk_store.write_chunks(tx, Readings(series, np.array([0, DAY, 0, 2 * DAY]), np.ones(4)))
        places = stale(tx)
        assert [place.day for place in places] == [0, 1, 2]
        assert [row.series for row in block_store.read_members(tx, places[0])] == [series[0], series[2]]

        def build() -> None:
            for place in stale(tx):
                block_store.write_block(tx, place, [], hours=b"", quarters=b"")

        build()
        components.replace(tx, number, check({**LINE, "name": "another"}), by="test", now=NOW)
        assert stale(tx) == []
        components.replace(tx, number, check({**SWITCH, "name": "another"}), by="test", now=NOW)
        assert stale(tx) == places[:2]
        build()
        store.change_component(tx, other, {"updated_at": NOW})
        assert stale(tx) == []
        components.delete(tx, other, by="test", now=NOW)
        assert stale(tx) == [places[0], places[2]]
