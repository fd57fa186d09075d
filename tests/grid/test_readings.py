"""Showing readings."""

import base64
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox.core.errors import UnprocessableError
from signalbox.core.pagination import InvalidCursorError
from signalbox.core.times import MINUTE, to_micros
from signalbox.grid import intake, readings
from signalbox.grid.readings import Wanted, decode_position, encode_position
from signalbox.grid.schemas import ReadingOut
from tests.grid.test_intake import NOW, START, lines, reading


def walk(tx: sa.Connection, wanted: Wanted, limit: int) -> list[ReadingOut]:
    found: list[ReadingOut] = []
    cursor = None
    while True:
        page = readings.list_readings(tx, wanted, limit=limit, cursor=cursor)
        found += page.items
        assert len(page.items) <= limit
        if (cursor := page.next_cursor) is None:
            return found


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_pages_hold_everything_once_newest_first(engine: sa.Engine, data: Any) -> None:
    with lines(engine) as (tx, made):
        minutes = st.tuples(st.integers(0, 1), st.integers(0, 5_000))
        given_ = [
            reading(made[which], minute) for which, minute in data.draw(st.lists(minutes, max_size=40, unique=True))
        ]
        middle = data.draw(st.integers(0, len(given_)))
        intake.accept_many(tx, given_[:middle], now=NOW)
        for row in given_[middle:]:
            intake.accept(tx, row, now=NOW)
        start = to_micros(START)
        wanted = Wanted(
            data.draw(st.sampled_from([None, made[0]])),
            data.draw(st.sampled_from([None, "POWER", "VOLTAGE"])),
            data.draw(st.sampled_from([None, start + 900 * MINUTE])),
            data.draw(st.sampled_from([None, start + 3_000 * MINUTE])),
        )
        expected = sorted(
            (
                ReadingOut(row.component_id, row.timestamp, row.value, row.measurement_type)
                for row in given_
                if row.timestamp is not None
                and wanted.component in (None, row.component_id)
                and wanted.kind in (None, row.measurement_type)
                and wanted.span.start <= to_micros(row.timestamp) < wanted.span.end
            ),
            key=lambda row: (row.timestamp, row.component_id),
            reverse=True,
        )
        assert walk(tx, wanted, data.draw(st.integers(1, 12))) == expected
        whole = readings.to_out(readings.read_period(tx, wanted))
        assert whole == sorted(expected, key=lambda row: (row.component_id, row.timestamp))


def test_a_line_is_of_one_series(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        rows = [reading(made[0], minute, float(minute % 60)) for minute in range(3_000)]
        intake.accept_many(tx, rows, now=NOW)
        found = readings.read_line(tx, Wanted(made[0], "POWER"), points=50, method="max")
        assert (len(found), {row.value for row in found}) == (50, {59.0})
        assert found[0].timestamp < found[-1].timestamp
        assert readings.read_line(tx, Wanted(made[0], "VOLTAGE"), points=50, method="lttb") == []
        with pytest.raises(UnprocessableError):
            readings.read_line(tx, Wanted(made[0]), points=50, method="max")


def test_csv_is_exact(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        intake.accept_many(tx, [reading(made[0], 0.001, 0.1 + 0.2)], now=NOW)
        text = "".join(readings.to_csv(readings.read_period(tx, Wanted())))
        assert text.splitlines()[1] == f"{made[0]},1969-12-30T00:00:00.060000Z,0.30000000000000004,POWER"


def test_cursors_are_those_of_this_list() -> None:
    assert decode_position(encode_position(-5, 8)) == (-5, 8)
    for wrong in ("x", "ü", "", base64.urlsafe_b64encode(b'["a", 1]').decode(), encode_position(1, -1)):
        with pytest.raises(InvalidCursorError):
            decode_position(wrong)
