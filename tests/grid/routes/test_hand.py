"""Whose hand it is."""

import json

from tests.grid.conftest import Grid


async def test_who_changes_something_is_written_down_with_the_request(grid: Grid) -> None:
    answer = await grid.call("POST", "/api/report-schedules", {"name": "S", "every": "day"})
    assert answer.status == 201, answer.body
    (entry,) = await grid.get("/api/audit?action=report_schedule.create")
    assert (entry["actor"], entry["target"]) == ("app:manager", f"report_schedule:{json.loads(answer.body)['id']}")
    assert entry["request_id"].encode() == answer.value(b"x-request-id")
