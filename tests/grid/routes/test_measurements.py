"""Measurements over HTTP: showing them."""

import csv
import io

import pyarrow.parquet as pq

from tests.grid.conftest import Grid


async def filled(grid: Grid) -> int:
    number = await grid.add()
    rows = [
        {"component_id": number, "timestamp": f"2026-01-0{1 + n // 24}T{n % 24:02}:00:00Z", "value": n % 5}
        | {"measurement_type": "POWER"}
        for n in range(72)
    ]
    assert (await grid.call("POST", "/api/measurements/batch", rows)).status == 200
    assert (await grid.measure(number, "2026-01-04T00:00:00Z", -1)).status == 201
    return number


async def test_readings_are_listed_newest_first(grid: Grid) -> None:
    number = await filled(grid)
    first = await grid.call("GET", "/api/measurements?limit=70")
    link = first.value(b"link")
    assert link is not None
    rest = await grid.get(link.decode().partition(">")[0][1:])
    assert [row["timestamp"] for row in rest] == [f"2026-01-01T0{hour}:00:00Z" for hour in (2, 1, 0)]
    (newest,) = await grid.get(f"/api/measurements?component_id={number}&limit=1&measurement_type=POWER")
    assert newest == {
        "component_id": number,
        "timestamp": "2026-01-04T00:00:00Z",
        "value": -1,
        "measurement_type": "POWER",
    }
    day = await grid.get("/api/measurements?since=2026-01-02T00:00:00Z&until=2026-01-02T03:00:00%2B01:00")
    assert [row["timestamp"][11:13] for row in day] == ["01", "00"]
    for wrong in ("limit=0", "since=2026-01-01T00:00:00", "measurement_type=HEAT", "points=2", "points=50"):
        assert (await grid.call("GET", f"/api/measurements?{wrong}")).status == 422
    assert (await grid.call("GET", "/api/measurements?cursor=x")).status == 400
    assert (await grid.call("GET", "/api/measurements", scope="")).status == 401


async def test_lines_and_files_are_given(grid: Grid) -> None:
    number = await filled(grid)
    line = await grid.get(f"/api/measurements?component_id={number}&measurement_type=POWER&points=10&method=min")
    assert (len(line), line[-1]["value"]) == (10, -1)
    text = (await grid.call("GET", "/api/measurements", Accept="text/csv")).body.decode()
    assert len(text.splitlines()) == 74
    table = pq.read_table(
        io.BytesIO((await grid.call("GET", "/api/measurements", Accept="application/vnd.apache.parquet")).body)
    )
    assert (table.num_rows, table.column_names[0]) == (73, "component_id")
    assert table["measurement_type"][0].as_py() == "POWER"


async def test_lines_are_given_in_each_form(grid: Grid) -> None:
    number = await filled(grid)
    path = f"/api/measurements?component_id={number}&measurement_type=POWER&points=10&method=min"
    line = await grid.get(path)
    text = await grid.call("GET", path, Accept="text/csv")
    assert text.value(b"content-type") == b"text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(text.body.decode())))
    assert [float(row["value"]) for row in rows] == [row["value"] for row in line]
    file = await grid.call("GET", path, Accept="application/vnd.apache.parquet")
    assert pq.read_table(io.BytesIO(file.body))["value"].to_pylist() == [row["value"] for row in line]
    empty = await grid.call("GET", path.replace("POWER", "VOLTAGE"), Accept="application/vnd.apache.parquet")
    assert (empty.status, pq.read_table(io.BytesIO(empty.body)).num_rows) == (200, 0)
