"""Measurements over HTTP: taking them in."""

import asyncio
import json
from typing import Any

import pytest

from signalbox.core.errors import InvalidError, UnprocessableError
from signalbox.grid.doors import MOST_ROWS, decode_row, refuse, split_rows
from signalbox.grid.errors import BatchTooLongError
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


async def test_many_clients_at_once_are_all_heard(grid: Grid) -> None:
    number = await grid.add()
    times = [f"2026-01-01T12:{minute:02}:00Z" for minute in range(40)]
    answers = await asyncio.gather(*(grid.measure(number, time, 1) for time in [*times, *times]))
    assert sorted(answer.status for answer in answers) == [201] * 40 + [409] * 40
    again = await grid.call("POST", "/api/measurements", raw=b"{}", Idempotency_Key="k")
    assert again.status == 422


def test_rows_are_split_and_decoded() -> None:
    assert split_rows(b"{}\n\n{}\r\n") == [b"{}", b"{}"]
    assert split_rows(b' [{}, {"a": 1}]') == [b"{}", b'{"a": 1}']
    with pytest.raises(InvalidError):
        split_rows(b"[{}")
    with pytest.raises(BatchTooLongError):
        split_rows(b"{}\n" * (MOST_ROWS + 1))
    assert isinstance(decode_row(b"{}"), str)
    for content, error in ((b'{"value": NaN}', UnprocessableError), (b"{", InvalidError)):
        with pytest.raises(error):
            refuse(content, ValueError("wrong"))
