"""Measurements over HTTP: taking them in."""

import asyncio
import json

import pytest

from signalbox.core.errors import InvalidError, UnprocessableError
from signalbox.grid.doors import decode_row, refuse
from tests.grid.conftest import Grid

NOON = "2026-01-01T12:00:00Z"


async def test_a_reading_is_taken_once(grid: Grid) -> None:
    number = await grid.add()
    answer = await grid.measure(number, NOON, 0.0)
    assert answer.status == 201
    assert json.loads(answer.body) == {
        "component_id": number,
        "timestamp": NOON,
        "value": 0.0,
        "measurement_type": "POWER",
    }
    again = await grid.measure(number, "2026-01-01T13:00:00+01:00", 5)
    assert (again.status, json.loads(again.body)["code"]) == (409, "duplicate_measurement")
    assert (await grid.measure(number, NOON, 5, "VOLTAGE")).status == 201
    assert (await grid.measure(number + 1, NOON, 5)).status == 404
    for other in (0, -1, 2**53):
        unknown = await grid.measure(other, NOON, 5)
        assert (unknown.status, json.loads(unknown.body)["code"]) == (404, "component_not_found")
    answer = await grid.call(
        "POST", "/api/measurements", {"component_id": number, "value": 1, "measurement_type": "POWER"}
    )
    assert (answer.status, json.loads(answer.body)["timestamp"][:2]) == (201, "20")


WRONG = (
    (b'{"component_id": 1, "measurement_type": "POWER", "value": NaN}', 422),
    (b'{"component_id": 1, "measurement_type": "POWER", "value": -Infinity}', 422),
    (b'{"component_id": 1, "measurement_type": "POWER", "value": 1e999}', 422),
    (b'{"component_id": 1, "measurement_type": "POWER", "value": "1"}', 422),
    (b'{"component_id": 1, "measurement_type": "HEAT", "value": 1}', 422),
    (b'{"component_id": 1, "measurement_type": "POWER", "value": 1, "timestamp": "2026-01-01T12:00:00"}', 422),
    (b'{"component_id": 1, "measurement_type": "POWER", "value": 1, "timestamp": "noon"}', 422),
    (b'{"component_id": 1, "measurement_type": "POWER"}', 422),
    (b'{"component_id": 1, "measurement_type": "POWER", "value": 1, "unit": "W"}', 422),
    (b"{", 400),
    (b"", 400),
)


async def test_wrong_readings_are_refused(grid: Grid) -> None:
    assert await grid.add() == 1
    for wrong, status in WRONG:
        answer = await grid.call("POST", "/api/measurements", raw=wrong)
        assert answer.status == status, (wrong, answer.body)


async def test_a_time_that_utc_cannot_hold_is_refused(grid: Grid) -> None:
    answer = await grid.measure(await grid.add(), "9999-12-31T23:59:59-14:00", 1)
    assert (answer.status, [each["field"] for each in json.loads(answer.body)["errors"]]) == (422, ["timestamp"])
    assert await grid.get("/api/measurements") == []


async def test_many_clients_at_once_are_all_heard(grid: Grid) -> None:
    number = await grid.add()
    times = [f"2026-01-01T12:{minute:02}:00Z" for minute in range(40)]
    answers = await asyncio.gather(*(grid.measure(number, time, 1) for time in [*times, *times]))
    assert sorted(answer.status for answer in answers) == [201] * 40 + [409] * 40
    again = await grid.call("POST", "/api/measurements", raw=b"{}", Idempotency_Key="k")
    assert again.status == 422


def test_wrong_rows_are_told_from_wrong_json() -> None:
    assert isinstance(decode_row(b"{}"), str)
    for content, error in ((b'{"value": NaN}', UnprocessableError), (b"{", InvalidError)):
        with pytest.raises(error):
            refuse(content, ValueError("wrong"))
