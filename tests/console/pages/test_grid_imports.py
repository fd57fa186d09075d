import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.grid import components, readings
from signalbox.grid.arrow import PARQUET
from signalbox.grid.readings import Wanted
from tests.console.conftest import SignedIn, Visitor
from tests.console.pages.test_grid import LINE
from tests.support.hub import Answer, RunningHub

CSV = "text/csv"
JSON = "application/x-ndjson"
HEAD = "component_id,timestamp,value,measurement_type\n"
ROWS = [f"{of},2024-05-01T00:0{minute}:00Z,{minute}.5,POWER\n" for of in (1, 9) for minute in range(3)]


async def give(somebody: Visitor, path: str, body: bytes, kind: str) -> Answer:
    headers = [(b"Cookie", somebody.cookie.encode()), (b"X-CSRF-Token", somebody.csrf.encode())]
    headers.append((b"Content-Type", kind.encode()))
    return await somebody.hub.ask(f"/console{path}".encode(), method=b"POST", headers=headers, body=body)


def lines(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


def to_parquet(folder: Path) -> bytes:
    columns: list[list[Any]] = list(zip(*(row.strip().split(",") for row in ROWS), strict=True))  # type: ignore[arg-type]
    at = pa.array(columns[1]).cast(pa.timestamp("us", "UTC"))
    arrays = [pa.array(map(int, columns[0])), at, pa.array(map(float, columns[2])), pa.array(columns[3])]
    pq.write_table(pa.table(arrays, names=HEAD.strip().split(",")), folder / "made.parquet")
    return (folder / "made.parquet").read_bytes()


def to_json() -> bytes:
    names = HEAD.strip().split(",")
    rows = [dict(zip(names, row.strip().split(","), strict=True)) for row in ROWS]
    return "\n".join(
        json.dumps({**row, "component_id": int(row["component_id"]), "value": float(row["value"])}) for row in rows
    ).encode()


@pytest.mark.parametrize("kind", [CSV, PARQUET, JSON])
async def test_a_file_of_readings_is_taken_in(signed_in: SignedIn, hub: RunningHub, tmp_path: Path, kind: str) -> None:
    manager, db = await signed_in("manager"), hub.hub.context.db
    await manager.act("/grid/components", **LINE)
    body = {CSV: "".join([HEAD, *ROWS]).encode(), PARQUET: to_parquet(tmp_path), JSON: to_json()}[kind]
    told = lines(await give(manager, "/grid/measurements", body, kind))
    assert told[-1]["kind"] == "warning"
    assert told[-1]["message"] == (
        "3 readings are taken, 0 were there already, 3 are rejected: there is no component 9 (3)"
    )
    again = lines(await give(manager, "/grid/measurements", body, kind))
    assert "0 readings are taken, 3 were there already" in again[-1]["message"]
    found = await db.read(readings.list_readings, Wanted(1, "POWER"), limit=5)
    assert sorted(each.value for each in found.items) == [0.5, 1.5, 2.5]
    if kind == PARQUET:
        assert told[0] == {"message": "6 of 6 rows", "share": 1.0}


async def test_a_file_that_cannot_be_read_is_refused(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    answer = await give(manager, "/grid/measurements", b"a,b\n1,2\n", CSV)
    assert answer.status == 400
    assert json.loads(answer.body)["detail"].startswith("the file has no column component_id")
    assert (await give(manager, "/grid/measurements", b"PAR0", PARQUET)).status == 400
    assert (await give(manager, "/grid/components/import", b"[1]", "application/json")).status == 400


async def test_components_are_imported(signed_in: SignedIn, hub: RunningHub) -> None:
    manager, db = await signed_in("manager"), hub.hub.context.db
    rows = "component_type,name,substation,status\nSWITCH,Q1,North,OPEN\nSWITCH,Q2,North,OPEN\nSWITCH,Q3,North,AJAR\n"
    told = lines(await give(manager, "/grid/components/import", rows.encode(), CSV))
    assert told[0] == {"message": "3 of 3 rows", "share": 1.0}
    assert told[-1]["message"].startswith("2 components are added, 0 are changed, 0 were so already, 1 are rejected: ")
    assert [row["name"] for row in await db.read(components.export, limit=5)] == ["Q2", "Q1"]
    back = await manager.text("/grid/components.csv")
    told = lines(await give(manager, "/grid/components/import", back.encode(), CSV))
    assert told[-1] == {"message": "0 components are added, 0 are changed, 2 were so already."}
    entries = await db.read(list_entries, wanted=AuditFilter(action="component.create"), limit=5)
    assert [each.target for each in entries] == ["component:2", "component:1"]
    assert all(each.request_id and each.actor == "user:manager" for each in entries)


async def test_users_only_look(signed_in: SignedIn) -> None:
    user = await signed_in("user")
    for path in ("measurements", "components/import"):
        assert (await give(user, f"/grid/{path}", b"[]", JSON)).status == 403
    assert "Import" not in await user.text("/grid")
