"""Batches over HTTP: taken in while they come."""

import json
import re
from contextlib import closing
from typing import Any

import pytest

from signalbox.grid.batch_upload import MOST_AT_ONCE, SPOOL, STEP, BatchUpload, Results
from signalbox.grid.errors import BrokenBatchError
from signalbox.grid.schemas import BatchResult, RowResult
from tests.grid.conftest import Grid
from tests.grid.test_doors import NOON

BATCH = "/api/measurements/batch"


def rows(number: int, count: int, *, day: int = 1) -> list[dict[str, Any]]:
    """A reading a second, from midnight on."""
    time = "2026-01-{:02}T{:02}:{:02}:{:02}Z"
    return [
        {
            "component_id": number,
            "timestamp": time.format(day, n // 3600, n // 60 % 60, n % 60),
            "value": n,
            "measurement_type": "POWER",
        }
        for n in range(count)
    ]


async def test_each_row_of_a_batch_has_its_result(grid: Grid) -> None:
    number = await grid.add()
    good = {"component_id": number, "timestamp": NOON, "value": 1.5, "measurement_type": "POWER"}
    rows: list[Any] = [good, good, {**good, "component_id": 99}, {**good, "timestamp": "2026-01-01T12:00:00"}, 7]
    expected = ["inserted", "duplicate", "rejected", "rejected", "rejected"]
    lines = b"\n".join(json.dumps(row).encode() for row in rows) + b"\n\n"
    first = json.loads((await grid.call("POST", "/api/measurements/batch", raw=lines)).body)
    assert [row["status"] for row in first["rows"]] == expected
    assert (first["inserted"], first["duplicates"], first["rejected"]) == (1, 1, 3)
    array = json.dumps([*rows, {**good, "value": float("nan")}]).encode()
    second = json.loads((await grid.call("POST", "/api/measurements/batch", raw=array)).body)
    assert [row["status"] for row in second["rows"]] == ["duplicate", *expected[1:], "rejected"]
    other = {**good, "timestamp": "2026-01-02T12:00:00Z"}
    refused = await grid.call("POST", "/api/measurements/batch?all_or_nothing=true", [other, good])
    assert (refused.status, json.loads(refused.body)["code"]) == (409, "batch_rejected")
    taken = await grid.call("POST", "/api/measurements/batch?all_or_nothing=true", [other])
    assert json.loads(taken.body)["inserted"] == 1
    assert (await grid.call("POST", "/api/measurements/batch?all_or_nothing=maybe", [])).status == 422


async def test_a_long_batch_is_taken_in_steps(grid: Grid) -> None:
    number = await grid.add()
    count = 2 * STEP + 500
    lines = b"\n".join(json.dumps(row).encode() for row in [*rows(number, count), *rows(number, 1)])
    result = json.loads((await grid.call("POST", BATCH, raw=lines)).body)
    assert (result["inserted"], result["duplicates"], len(result["rows"])) == (count, 1, count + 1)
    assert result["rows"][-1] == {"status": "duplicate"}
    shown = await grid.get(f"/api/measurements?component_id={number}&limit=1")
    assert shown[0]["value"] == count - 1


async def test_what_came_before_a_batch_broke_off_is_said_and_kept(grid: Grid) -> None:
    number = await grid.add()
    count = 2 * STEP
    whole = json.dumps(rows(number, count)).encode()
    broken = await grid.call("POST", BATCH, raw=whole[:-1])
    said = json.loads(broken.body)
    assert (broken.status, said["code"]) == (400, "batch_broken")
    taken = re.search(r"of the (\d+) rows before, (\d+) were taken", said["detail"])
    assert taken is not None
    assert STEP <= int(taken[1]) == int(taken[2]) <= count
    again = json.loads((await grid.call("POST", BATCH, raw=whole)).body)
    assert (again["inserted"], again["duplicates"]) == (count - int(taken[1]), int(taken[1]))
    for body in (whole[:400], b"[1,,2]"):
        answer = await grid.call("POST", BATCH, raw=body)
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid")


async def test_a_batch_with_a_key_is_done_once(grid: Grid) -> None:
    number = await grid.add()
    first = await grid.call("POST", BATCH, rows(number, 3), Idempotency_Key="k")
    again = await grid.call("POST", BATCH, rows(number, 3), Idempotency_Key="k")
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert (first.value(b"idempotent-replayed"), again.value(b"idempotent-replayed")) == (None, b"true")
    other = await grid.call("POST", BATCH, rows(number, 2), Idempotency_Key="k")
    assert (other.status, json.loads(other.body)["code"]) == (422, "idempotency_key_reused")
    for more in ({"path": f"{BATCH}?all_or_nothing=1"}, {"Idempotency_Key": "long"}):
        path = more.pop("path", BATCH)
        long = await grid.call("POST", path, raw=b"{}\n" * (MOST_AT_ONCE + 1), **more)
        assert (long.status, json.loads(long.body)["code"]) == (400, "batch_too_long")


async def test_who_may_not_write_sends_no_batch(grid: Grid) -> None:
    for scope, status in (("user", 403), ("", 401)):
        assert (await grid.call("POST", BATCH, [], scope=scope)).status == status
    assert json.loads((await grid.call("POST", BATCH, raw=b"")).body)["rows"] == []


@pytest.mark.parametrize("count", [0, 1, SPOOL // 10])
def test_results_are_whole_however_many(count: int) -> None:
    one = RowResult("rejected", "why")
    with closing(Results()) as results:
        for part in (count, 0, count):
            results.add(BatchResult(0, 0, part, [one] * part))
        size, whole = results.size, b"".join(results.read())
    assert len(whole) == size
    assert json.loads(whole) == {
        "inserted": 0,
        "duplicates": 0,
        "rejected": 2 * count,
        "rows": [{"status": "rejected", "reason": "why"}] * (2 * count),
    }


async def test_a_batch_whose_results_find_no_room_ends_with_what_was_taken(grid: Grid) -> None:
    number = await grid.add()
    content = b"\n".join(json.dumps(row).encode() for row in rows(number, 3 * STEP))
    upload = BatchUpload(grid.hub.hub.context)
    pieces = [content[at : at + 65_536] for at in range(0, len(content), 65_536)]

    async def receive() -> dict[str, Any]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    with closing(Results(most=SPOOL // 8)) as results:
        with pytest.raises(BrokenBatchError, match=r"over 131072 bytes.* send the rest.* rows before, \d+ were taken"):
            await upload.take_in_steps(receive, results)
        assert STEP <= results.inserted < 3 * STEP
        shown = await grid.get(f"/api/measurements?component_id={number}&limit=1")
        assert shown[0]["value"] == results.inserted - 1
