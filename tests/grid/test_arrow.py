"""Parquet."""

import io
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq

from signalbox.grid.arrow import load_pyarrow, readings_to_parquet, rows_to_parquet, table_to_parquet
from signalbox.grid.merging import Readings


def test_readings_come_back_exactly() -> None:
    table = pq.read_table(
        io.BytesIO(readings_to_parquet(Readings(np.array([8, 10]), np.array([-1, 5]), np.array([0.1, -0.0]))))
    )
    assert table["component_id"].to_pylist() == [1, 1]
    assert table["measurement_type"].to_pylist() == ["VOLTAGE", "POWER"]
    assert str(table.schema.field("timestamp").type) == "timestamp[us, tz=UTC]"
    assert table["value"].to_pylist() == [0.1, -0.0]


def test_rows_keep_their_types_even_where_there_are_none() -> None:
    columns = {"day": "string", "count": "int64"}
    for rows in ([], [{"day": "2026-01-01", "count": 3}]):
        table = pq.read_table(io.BytesIO(rows_to_parquet(rows, columns)))
        assert (table.to_pylist(), str(table.schema.field("count").type)) == (rows, "int64")
    assert table_to_parquet(load_pyarrow().table({"a": [1]}))[:4] == b"PAR1"


def test_its_absence_is_told_clearly_and_the_hub_does_without() -> None:
    script = """
import sys
sys.modules["pyarrow"] = None
import signalbox.app.hub
from signalbox.grid.arrow import load_pyarrow
try:
    load_pyarrow()
except Exception as error:
    print(type(error).__name__, error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.startswith("MissingExtraError")
    assert "install signalbox[data]" in said
