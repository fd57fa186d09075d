"""Reports over HTTP, made by the hub's own worker."""

import asyncio
import io
import json
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from signalbox.grid import reports
from tests.grid.conftest import Grid
from tests.support.timing import until


async def filled(grid: Grid) -> int:
    number = await grid.add(name="<L&1>")
    rows = [
        {
            "component_id": number,
            "timestamp": f"2026-01-0{1 + hour // 24}T{hour % 24:02}:00:00Z",
            "value": hour % 24,
            "measurement_type": "POWER",
        }
        for hour in range(48)
    ]
    assert (await grid.call("POST", "/api/measurements/batch", rows)).status == 200
    return number


async def order(grid: Grid, **more: Any) -> str:
    body = {"start_date": "2026-01-01", "end_date": "2026-01-03", **more}
    answer = await grid.call("POST", "/api/reports", body)
    assert (answer.status, json.loads(answer.body)["status"]) == (202, "pending")
    location = answer.value(b"location")
    assert location is not None
    return location.decode()


async def test_a_report_is_ordered_made_and_shown(grid: Grid) -> None:
    number = await filled(grid)
    path = await order(grid, name="Two days")
    shown = await grid.get(f"{path}?wait=30")
    assert (shown["status"], shown["progress"], shown["name"]) == ("completed", 1.0, "Two days")
    first = shown["result"]["daily_averages"][0]
    assert first == {
        "day": "2026-01-01",
        "measurement_type": "POWER",
        "component_type": "LINE",
        "avg_value": 11.5,
        "count": 24,
        "min_value": 0,
        "max_value": 23,
        "stddev": first["stddev"],
        "coverage": 1.0,
    }
    assert "duration_ms" in shown["result"]["provenance"]
    await grid.call("DELETE", f"/api/components/{number}")
    assert (await grid.get(path))["result"] == shown["result"], "what is finished stays"
    assert (await grid.call("POST", f"{path}/rerun")).status == 202
    assert (await grid.get(f"{path}?wait=30"))["result"]["daily_averages"] == []
    assert [each["topic"] for each in await grid.get("/api/events?topic=report.*")] == ["report.completed"] * 2
    assert [each["id"] for each in await grid.get("/api/reports?status=completed")] == [shown["id"]]
    assert (await grid.call("DELETE", path)).status == 204
    assert (await grid.call("GET", path)).status == 404


async def test_a_report_is_a_file_too(grid: Grid) -> None:
    await filled(grid)
    path = await order(grid, timezone="Asia/Kolkata", name="<b>&")
    await grid.get(f"{path}?wait=30")
    text = (await grid.call("GET", f"{path}?format=csv")).body.decode()
    assert (len(text.splitlines()), text.splitlines()[0].split(",")[:2]) == (3, ["day", "measurement_type"])
    answer = await grid.call("GET", path, Accept="application/vnd.apache.parquet")
    assert pq.read_table(io.BytesIO(answer.body))["count"].to_pylist() == [19, 24]
    page = (await grid.call("GET", path, Accept="text/html,application/xhtml+xml,*/*;q=0.8")).body.decode()
    assert (
        "<svg" in page,
        "<b>" in page,
        "&lt;b&gt;&amp;" in page,
        "http" in page.replace("http://www.w3.org/", ""),
    ) == (
        True,
        False,
        True,
        False,
    )
    assert (await grid.call("GET", f"{path}?format=exe")).status == 422


async def test_orders_are_checked_and_repeats_answered_as_before(grid: Grid) -> None:
    body = {"start_date": "2026-01-02", "end_date": "2026-01-02"}
    for wrong in (body, {**body, "end_date": "2026-01-03T00:00"} | {"timezone": "Mars"}, {"start_date": "2026-01-02"}):
        assert (await grid.call("POST", "/api/reports", wrong)).status == 422
    good = {**body, "end_date": "2026-01-03"}
    answers = [await grid.call("POST", "/api/reports", good, Idempotency_Key="k") for _ in range(2)]
    assert (answers[0].body, answers[1].value(b"idempotent-replayed")) == (answers[1].body, b"true")
    assert len(await grid.get("/api/reports")) == 1


async def test_who_waits_asks_the_database_nothing_meanwhile(grid: Grid) -> None:
    context = grid.hub.hub.context
    number = await context.db.write(_add_pending)
    looks: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM grid_report" in statement and "grid_report.result" in statement:
            looks.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        waiting = asyncio.create_task(grid.call("GET", f"/api/reports/{number}?wait=60"))
        await until(lambda: looks)
        await asyncio.sleep(0.5)
        assert len(looks) == 1
        await context.db.write(reports.fail, number, "it broke", run=1, now=context.clock.now())
        assert json.loads((await waiting).body)["error"] == "it broke"
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


async def test_who_waits_is_answered_when_the_hub_ends(grid: Grid) -> None:
    number = await grid.hub.hub.context.db.write(_add_pending)
    waiting = asyncio.create_task(grid.call("GET", f"/api/reports/{number}?wait=60"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    grid.hub.hub.context.drain.begin()
    assert json.loads((await waiting).body)["status"] == "pending"
    assert (await grid.call("GET", f"/api/reports/{number}?format=csv")).status == 409


def _add_pending(tx: Any) -> int:
    """A report that no job makes."""
    from signalbox.grid import report_store

    values = {"start_at": 0, "end_at": 1, "timezone": "UTC", "status": "pending", "run": 1, "progress": 0.0}
    return report_store.add_report(tx, {**values, "created_by": "test", "created_at": 0})
