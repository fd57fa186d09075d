"""Files of readings."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signalbox.grid.errors import BadFileError
from signalbox.grid.reading_files import LINES, Batch, count_rows, read_file
from signalbox.grid.readings import to_out
from signalbox.grid.schemas import ReadingOut

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def read(path: Path) -> tuple[list[ReadingOut], list[int], dict[int, str], int]:
    """Readings, their rows, why others were rejected, and how many rows there are."""
    batches: list[Batch] = list(read_file(path))
    readings = [row for batch in batches for row in to_out(batch.readings)]
    rows = [row for batch in batches for row in batch.rows.tolist()]
    rejected = {row: reason for batch in batches for row, reason in batch.rejected}
    assert len(readings) == len(rows)
    return readings, rows, rejected, sum(batch.size for batch in batches)


CSV = """timestamp,component_id,note,measurement_type,value
2026-01-01T12:00:00Z,7,a,POWER,1.5
2026-01-01T13:00:00+01:00,7,"b,
c",VOLTAGE,-2e3
2026-01-01T12:00:00,7,,POWER,1
2026-01-01T12:00:00Z,7,,POWER
2026-01-01T12:00:00Z,7,,POWER,1,2
2026-01-01T12:00:00Z,x,,POWER,1
2026-01-01T12:00:00Z,10000000000000000000000,,POWER,1
2026-01-01T12:00:00Z,7,,HEAT,1
2026-01-01T12:00:00Z,7,,POWER,NaN
2026-01-01T12:00:00Z,7,,POWER,inf
2026-01-01T12:00:00Z,7,,POWER,
noon,7,,POWER,1
2026-01-01T12:00:00.000001Z,7,,CURRENT,0
"""


def test_csv_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CSV)
    readings, rows, rejected, size = read(path)
    assert readings == [
        ReadingOut(7, NOON, 1.5, "POWER"),
        ReadingOut(7, NOON, -2000.0, "VOLTAGE"),
        ReadingOut(7, NOON.replace(microsecond=1), 0.0, "CURRENT"),
    ]
    assert (rows, size, sorted(rejected)) == ([1, 2, 13], 13, list(range(3, 13)))
    reasons = ["time", "cells", "cells", "component_id", "component_id", "measurement_type", *["value"] * 3, "time"]
    for row, word in zip(range(3, 13), reasons, strict=True):
        assert word in rejected[row], (row, rejected[row])


def test_good_csv_is_converted_at_once_to_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("component_id,timestamp,value,measurement_type\n7,2026-01-01T13:00:00.5+01:00,0.1,POWER\n")
    readings, _, rejected, _ = read(path)
    assert (readings, rejected) == ([ReadingOut(7, NOON.replace(microsecond=500_000), 0.1, "POWER")], {})


@pytest.mark.parametrize("unit", ["ms", "us", "ns", "text"])
def test_parquet_is_read_whatever_its_types(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.parquet"
    times: Any = ["2026-01-01T12:00:00Z"] * 2 if unit == "text" else pa.array([NOON] * 2, pa.timestamp(unit, "UTC"))
    columns = {
        "component_id": pa.array([7, None], pa.int32()),
        "timestamp": times,
        "value": pa.array([2, 3], pa.int16()),
    }
    kinds = pa.array(["POWER", "POWER"]).dictionary_encode()
    pq.write_table(pa.table({**columns, "measurement_type": kinds, "more": ["x", "y"]}), path)
    readings, rows, rejected, size = read(path)
    assert (readings, rows, size) == ([ReadingOut(7, NOON, 2.0, "POWER")], [1], 2)
    assert "component_id" in rejected[2]
    assert count_rows(path) == 2


def write_times(path: Path, times: Any, components: Any = None) -> None:
    """A file of Parquet with these times."""
    columns = {"component_id": components or [7] * len(times), "timestamp": times, "value": [1.0] * len(times)}
    pq.write_table(pa.table({**columns, "measurement_type": ["POWER"] * len(times)}), path)


def test_a_fraction_is_no_id_of_a_component(tmp_path: Path) -> None:
    write_times(
        tmp_path / "a.parquet", pa.array([NOON] * 4, pa.timestamp("us", "UTC")), [7.0, 7.5, float("nan"), 1e300]
    )
    readings, rows, rejected, _ = read(tmp_path / "a.parquet")
    assert (readings, rows, sorted(rejected)) == ([ReadingOut(7, NOON, 1.0, "POWER")], [1], [2, 3, 4])
    assert "component_id" in rejected[2]


@pytest.mark.parametrize("times", [pa.array([1_767_268_800]), pa.array([date(2026, 1, 1)]), pa.array([1.5])])
def test_numbers_and_dates_are_no_times(tmp_path: Path, times: Any) -> None:
    write_times(tmp_path / "a.parquet", times)
    with pytest.raises(BadFileError, match=r"column timestamp .* timestamp with a zone"):
        read(tmp_path / "a.parquet")


def test_nanoseconds_are_rounded_down(tmp_path: Path) -> None:
    write_times(tmp_path / "a.parquet", pa.array([1_767_268_800_000_000_001, -1, None], pa.timestamp("ns", "UTC")))
    readings, _, rejected, _ = read(tmp_path / "a.parquet")
    before = datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)
    assert ([each.timestamp for each in readings], list(rejected)) == ([NOON, before], [3])


def test_times_of_any_zone_and_in_a_dictionary_are_read(tmp_path: Path) -> None:
    for name, times in {
        "zone": pa.array([NOON], pa.timestamp("ms", "Europe/Berlin")),
        "words": pa.array(["2026-01-01T13:00:00+01:00"]).dictionary_encode(),
        "large": pa.array(["2026-01-01T12:00:00Z"], pa.large_string()),
        "instants": pa.array([NOON], pa.timestamp("us", "UTC")).dictionary_encode(),
    }.items():
        write_times(tmp_path / f"{name}.parquet", times)
        assert read(tmp_path / f"{name}.parquet")[0] == [ReadingOut(7, NOON, 1.0, "POWER")], name


BEYOND = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
"""Times that have no instant in the years 1 to 9999 of UTC."""


def test_times_that_utc_cannot_hold_are_rejected_in_each_kind_of_file(tmp_path: Path) -> None:
    row = '{{"component_id": 7, "timestamp": "{}", "value": 1, "measurement_type": "POWER"}}\n'
    times = [*BEYOND, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
    (tmp_path / "a.ndjson").write_text("".join(map(row.format, times)))
    lines = "".join(f"7,{time},1,POWER\n" for time in times)
    (tmp_path / "a.csv").write_text(f"component_id,timestamp,value,measurement_type\n{lines}")
    write_times(tmp_path / "a.parquet", times)
    for name in ("a.ndjson", "a.csv", "a.parquet"):
        readings, rows, rejected, _ = read(tmp_path / name)
        assert (rows, sorted(rejected), len(readings)) == ([3, 4], [1, 2], 2), name
        assert "years 1 to 9999" in rejected[1]
    for unit, far in (("s", 2**50), ("ms", 2**62), ("us", 2**62)):
        write_times(tmp_path / "b.parquet", pa.array([far, -far, 0], pa.timestamp(unit, "UTC")))
        assert (read(tmp_path / "b.parquet")[1], sorted(read(tmp_path / "b.parquet")[2])) == ([3], [1, 2])


def test_ndjson_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    good = '{"component_id": 7, "timestamp": "2026-01-01T12:00:00Z", "value": 1, "measurement_type": "POWER"}\n'
    path.write_text(good + "\nnonsense\n" + good.replace("7", "-7") + good.replace('"timestamp"', '"time"') + good)
    readings, rows, rejected, size = read(path)
    assert (readings, rows, size) == ([ReadingOut(7, NOON, 1.0, "POWER")] * 2, [1, 6], 6)
    assert sorted(rejected) == [3, 4, 5]
    path.write_text(good * (LINES + 3))
    assert (read(path)[3], len(list(read_file(path)))) == (LINES + 3, 2)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    naive = pa.table(
        {"component_id": [1], "timestamp": [NOON.replace(tzinfo=None)], "value": [1.0], "measurement_type": ["POWER"]}
    )
    pq.write_table(naive, tmp_path / "naive.parquet")
    pq.write_table(naive.drop(["value"]), tmp_path / "short.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "short.csv").write_text("component_id,timestamp\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    for name in ("naive.parquet", "short.parquet", "broken.parquet", "short.csv", "empty.csv", "none.csv", "a.xls"):
        with pytest.raises(BadFileError, match=name):
            read(tmp_path / name)
    with pytest.raises(BadFileError):
        count_rows(tmp_path / "broken.parquet")
    assert count_rows(tmp_path / "a.csv") is None
