"""Components over HTTP."""

import json
from typing import Any

from tests.grid.conftest import LINE, Grid

TRANSFORMER = {
    "component_type": "TRANSFORMER",
    "name": "T1",
    "substation": "North",
    "capacity_mva": 40,
    "voltage_kv": 110,
}


def body(answer: Any) -> Any:
    return json.loads(answer.body)


async def test_a_component_is_added_shown_replaced_changed_and_deleted(grid: Grid) -> None:
    answer = await grid.call("POST", "/api/components", TRANSFORMER)
    assert answer.status == 201
    made = body(answer)
    path = f"/api/components/{made['id']}"
    assert answer.value(b"location") == path.encode()
    assert await grid.get(path) == made
    assert (made["capacity_mva"], made["voltage_kv"], "length_km" in made) == (40, 110, False)
    assert body(await grid.call("PATCH", path, {"tap": 3, "capacity_mva": 63}))["capacity_mva"] == 63
    assert "tap" not in body(await grid.call("PATCH", path, {"tap": None}))
    replaced = body(await grid.call("PUT", path, {**LINE, "name": "T1"}))
    assert (replaced["component_type"], replaced["length_km"], "capacity_mva" in replaced) == ("LINE", 10, False)
    assert (await grid.call("DELETE", path)).status == 204
    assert (await grid.call("GET", path)).status == 404
    actions = [entry["action"] for entry in await grid.get(f"/api/audit?target=component:{made['id']}")]
    assert actions == ["component.delete", *["component.change"] * 3, "component.create"]


WRONG: tuple[Any, ...] = (
    {**TRANSFORMER, "capacity_mva": 0},
    {**TRANSFORMER, "voltage_kv": -1},
    {**TRANSFORMER, "length_km": 4},
    {**TRANSFORMER, "name": ""},
    {**TRANSFORMER, "substation": "x" * 101},
    {**TRANSFORMER, "component_type": "WINDMILL"},
    {**LINE, "component_type": "SWITCH"},
    {"component_type": "SWITCH", "name": "S", "substation": "North", "status": "AJAR"},
    {**LINE, "length_km": 0},
    {},
    [],
)


async def test_wrong_components_are_refused_with_their_fields(grid: Grid) -> None:
    for wrong in WRONG:
        answer = await grid.call("POST", "/api/components", wrong)
        assert (answer.status, body(answer)["code"]) == (422, "validation_error"), wrong
        assert body(answer)["errors"], wrong
    number = await grid.add()
    answer = await grid.call("PATCH", f"/api/components/{number}", {"length_km": -1})
    assert (answer.status, body(answer)["errors"][0]["field"]) == (422, "length_km")


async def test_a_name_is_unique_in_its_substation(grid: Grid) -> None:
    first = await grid.add()
    assert (await grid.call("POST", "/api/components", LINE)).status == 409
    second = await grid.add(substation="South")
    answer = await grid.call("PATCH", f"/api/components/{second}", {"substation": "North"})
    assert (answer.status, body(answer)["code"]) == (409, "component_exists")
    assert (await grid.get(f"/api/components/{second}"))["substation"] == "South"
    assert (await grid.call("PUT", f"/api/components/{first}", LINE)).status == 200


async def test_lists_are_filtered_and_go_on_behind_a_cursor(grid: Grid) -> None:
    for number in range(3):
        await grid.add(name=f"Line {number}%")
    await grid.call("POST", "/api/components", TRANSFORMER)
    names = [each["name"] for each in await grid.get("/api/components")]
    assert names == ["T1", "Line 2%", "Line 1%", "Line 0%"]
    assert [each["name"] for each in await grid.get("/api/components?component_type=TRANSFORMER")] == ["T1"]
    assert len(await grid.get("/api/components?name=lINE&substation=North")) == 3
    assert len(await grid.get("/api/components?name=1%25")) == 1
    assert await grid.get("/api/components?substation=South") == []
    answer = await grid.call("GET", "/api/components?limit=3")
    link = answer.value(b"link")
    assert link is not None
    rest = await grid.get(link.decode().partition(">")[0][1:])
    assert [each["name"] for each in rest] == ["Line 0%"]


async def test_users_read_and_managers_write(grid: Grid) -> None:
    number = await grid.add()
    path = f"/api/components/{number}"
    assert (await grid.call("GET", path, scope="")).status == 401
    for scope in ("user", "grid:read"):
        assert (await grid.call("GET", path, scope=scope)).status == 200
        assert (await grid.call("DELETE", path, scope=scope)).status == 403
        assert (await grid.call("POST", "/api/measurements", {}, scope=scope)).status == 403
        assert (await grid.call("POST", "/api/reports", {}, scope=scope)).status == 403
    assert (await grid.call("DELETE", path, scope="grid:write")).status == 204


async def test_what_is_exported_can_be_imported(grid: Grid) -> None:
    await grid.call("POST", "/api/components", TRANSFORMER)
    number, text = await grid.add(name="=L, 1\n"), b""
    for kind in ("csv", "json"):
        text = (await grid.call("GET", f"/api/components/export?format={kind}")).body
        content_type = "text/csv" if kind == "csv" else "application/json"
        again = body(await grid.call("POST", "/api/components/import", raw=text, Content_Type=content_type))
        assert [each["status"] for each in again] == ["unchanged"] * 2
    await grid.call("DELETE", f"/api/components/{number}")
    again = body(await grid.call("POST", "/api/components/import", raw=text))
    assert [(each["status"], each["id"]) for each in again] == [("unchanged", 1), ("created", number)]
    assert await grid.add(name="next") == number + 1


async def test_each_imported_row_has_its_own_result(grid: Grid) -> None:
    await grid.add()
    text = "component_type,name,substation,length_km,voltage_kv,status\nLINE,L1,North,12,110,\n"
    text += "SWITCH,S1,North,,,OPEN\nLINE,L2,North,-1,110,\n"
    results = body(await grid.call("POST", "/api/components/import", raw=text.encode(), Content_Type="text/csv"))
    assert [(each["row"], each["status"]) for each in results] == [(1, "updated"), (2, "created"), (3, "rejected")]
    assert "length_km" in results[2]["reason"]
    short = b"component_type,name\nLINE\n"
    answer = await grid.call("POST", "/api/components/import", raw=short, Content_Type="text/csv")
    assert (answer.status, "line 2 has 1 cells" in body(answer)["detail"]) == (400, True)
