"""Moving readings of the tail into chunks; that none is lost is tried by ``test_intake.py``."""

import numpy as np
import sqlalchemy as sa

from signalbox.core.times import DAY
from signalbox.grid import chunk_store
from signalbox.grid.chunk_store import Waiting
from signalbox.grid.folding import LONGEST, SHARE, choose, fold_tail
from signalbox.grid.merging import Bucket, Readings
from signalbox.grid.series import to_series
from tests.grid.test_intake import lines

TODAY = 20_000


def test_a_bucket_waits_until_it_pays() -> None:
    full, empty = Waiting(Bucket(1, TODAY), 10, 10 * SHARE), Waiting(Bucket(2, TODAY), 1, 0)
    few, over = Waiting(Bucket(3, TODAY), 10, 10 * SHARE + 1), Waiting(Bucket(4, TODAY - 1), 1, 10**6)
    assert choose([few, over, empty, full], today=TODAY, size=10**9) == [full.bucket, over.bucket, empty.bucket]
    assert choose([few], today=TODAY) == choose([], today=TODAY) == []


def test_a_long_tail_is_shortened_whatever_it_takes() -> None:
    waiting = [Waiting(Bucket(series, TODAY), LONGEST // 10 + series, 10**9) for series in range(10)]
    assert choose(waiting[:9], today=TODAY, size=10**12) == []
    assert choose(waiting, today=TODAY, size=10**12) == [Bucket(series, TODAY) for series in (9, 8, 7, 6, 5, 4)]


def test_a_step_writes_no_more_than_it_should() -> None:
    waiting = [Waiting(Bucket(series, 0), 50, 50) for series in range(5)]
    assert len(choose(waiting, today=1, size=250)) == 2
    assert len(choose(waiting, today=1, size=1)) == 1


def test_what_pays_is_moved(engine: sa.Engine) -> None:
    with lines(engine, 1) as (tx, (number,)):
        series, midnight = to_series(number, "POWER"), TODAY * DAY
        at = midnight + np.arange(2 * SHARE) * 1_000
        chunk_store.write_chunks(tx, Readings(np.full(len(at), series), at, np.ones(len(at))))
        chunk_store.add_to_tail(tx, series, midnight + 1, 1.0)
        assert fold_tail(tx, now=midnight) == 0
        chunk_store.add_to_tail(tx, series, midnight + 2, 1.0)
        chunk_store.add_to_tail(tx, series, midnight - 1, 1.0)
        assert fold_tail(tx, now=midnight) == 3
        assert (fold_tail(tx, now=midnight), chunk_store.count_tail(tx)) == (0, [])
        assert chunk_store.count_readings(tx) == len(at) + 3
