"""Bringing files of readings in."""

import io
from pathlib import Path

import numpy as np

from signalbox.grid import chunk_store, components
from signalbox.grid.arrow import readings_to_parquet
from signalbox.grid.bulk import Outcome, import_file
from signalbox.grid.kinds import check
from signalbox.grid.merging import Readings
from signalbox.grid.series import to_series
from signalbox.infra.context import Context
from tests.grid.conftest import LINE
from tests.grid.test_intake import NOW

COUNT = 200_000


async def test_a_file_is_brought_in_completely_however_often(context: Context, tmp_path: Path) -> None:
    for name in ("a", "b"):
        await context.db.write(components.add, check({**LINE, "name": name}), by="test", now=NOW)
    order = np.random.default_rng(1).permutation(COUNT)
    series = np.where(order % 2, to_series(1, "POWER"), to_series(2, "VOLTAGE"))
    series[0] = to_series(3, "POWER")
    path = tmp_path / "a.parquet"
    path.write_bytes(readings_to_parquet(Readings(series, NOW + order * 1_000_000, order.astype(float))))
    told: list[Outcome] = []
    rejects = io.StringIO()
    first = await import_file(context.db, path, rejects=rejects, told=told.append)
    assert vars(first) == {"rows": COUNT, "inserted": COUNT - 1, "duplicates": 0, "rejected": 1}
    assert [each.rows for each in told] == [COUNT]
    assert rejects.getvalue() == f'"{path}",1,"there is no component 3"\n'
    again = await import_file(context.db, path, told=told.append)
    assert vars(again) == {"rows": COUNT, "inserted": 0, "duplicates": COUNT - 1, "rejected": 1}
    assert await context.db.read(chunk_store.count_readings) == COUNT - 1
