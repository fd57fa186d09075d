"""What a report reads; what becomes of it is tried by ``test_report.py``."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import sqlalchemy as sa

from signalbox.core.times import DAY, HOUR, MINUTE, to_micros
from signalbox.grid import blocks, chunk_store
from signalbox.grid.merging import Readings
from signalbox.grid.periods import Calendar
from signalbox.grid.report_parts import Kinds, Parts, merge_parts, no_parts, read_parts
from signalbox.grid.series import to_series
from tests.grid.test_intake import NOW, lines

SPRING = to_micros(datetime(2025, 3, 29, tzinfo=UTC))
SIXTIES = to_micros(datetime(1969, 12, 31, tzinfo=UTC))
"""Times before 1970 are negative, and Monrovia was 44 minutes and 30 seconds behind: its days need readings."""


def read(tx: sa.Connection, start: int, end: int, zone: str, made: list[int]) -> Parts:
    calendar, kinds = Calendar(start, end, ZoneInfo(zone)), Kinds((number, "LINE") for number in made)
    parts = no_parts()
    for found in read_parts(tx, calendar, kinds):
        parts = merge_parts([parts, found], len(calendar) * kinds.groups)
    return parts


@pytest.mark.parametrize(
    ("zone", "start"),
    [("UTC", SIXTIES), ("Europe/Berlin", SPRING), ("Asia/Kolkata", SPRING), ("Africa/Monrovia", SIXTIES)],
)
def test_built_or_stale_blocks_say_the_same(engine: sa.Engine, zone: str, start: int) -> None:
    with lines(engine, 2) as (tx, made):
        dice, count = np.random.default_rng(1), 1
        span = start + 5 * MINUTE + 1, start + 2 * DAY + 3 * HOUR + 7
        for number in made:
            at = start + np.unique(dice.integers(0, 3 * DAY, 500))
            chunk_store.write_chunks(
                tx, Readings(np.full(len(at), to_series(number, "POWER")), at, dice.normal(size=len(at)))
            )
            count += int(((at >= span[0]) & (at < span[1])).sum())
        chunk_store.add_to_tail(tx, to_series(made[0], "POWER"), start + 7 * HOUR, 100.0)
        before = read(tx, *span, zone, made)
        assert blocks.build_blocks(tx, now=NOW, limit=9) == 3
        after = read(tx, *span, zone, made)
        assert (after.group.tolist(), after.hours.tolist()) == (before.group.tolist(), before.hours.tolist())
        for name, column in before.sums._asdict().items():
            assert getattr(after.sums, name).tolist() == pytest.approx(column.tolist(), rel=1e-12)
        assert (after.sums.max.max(), after.sums.n.sum()) == (100.0, count)


def test_groups_are_numbered() -> None:
    kinds = Kinds([(1, "SWITCH"), (2, "LINE"), (5, "SWITCH")])
    assert (kinds.names, kinds.groups) == (["LINE", "SWITCH"], 6)
    series = np.array([to_series(5, "POWER"), to_series(2, "VOLTAGE")])
    assert kinds.of_series(series).tolist() == kinds.of_block('[["SWITCH", 2], ["LINE", 0]]').tolist() == [5, 0]
    assert len(no_parts().group) == 0
