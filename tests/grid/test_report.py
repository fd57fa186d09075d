"""What a report says, compared with what plain Python says of the same readings."""

import math
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox.core.times import HOUR, to_datetime, to_micros
from signalbox.grid import blocks, chunk_store, components, folding, intake, report
from signalbox.grid.kinds import check
from signalbox.grid.schemas import NewReading
from tests.grid.conftest import LINE
from tests.grid.test_intake import NOW, lines

TRANSFORMER = {"component_type": "TRANSFORMER", "substation": "North", "capacity_mva": 40, "voltage_kv": 132}
SWITCH = {"component_type": "SWITCH", "substation": "North", "name": "S", "status": "OPEN"}
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"]
SPRING = datetime(2026, 3, 28, tzinfo=UTC)
"""The night from the 28th to the 29th has an hour less in Berlin."""


def build(tx: sa.Connection, start: datetime, end: datetime, zone: str = "UTC") -> dict[str, Any]:
    return report.build(tx, to_micros(start), to_micros(end), ZoneInfo(zone), progress=lambda share: None)


def expected(
    rows: list[NewReading], kinds: dict[int, str], start: datetime, end: datetime, zone: str
) -> list[dict[str, Any]]:
    info = ZoneInfo(zone)
    groups: dict[tuple[str, str, str], list[NewReading]] = defaultdict(list)
    for row in rows:
        assert row.timestamp is not None
        if start <= row.timestamp < end:
            local = row.timestamp.astimezone(info).date()
            groups[local.isoformat(), row.measurement_type, kinds[row.component_id]].append(row)
    found = []
    for (day, measured, kind), members in sorted(groups.items()):
        values = [row.value for row in members]
        mean = math.fsum(values) / len(values)
        begin, finish = (midnight(date.fromisoformat(day) + timedelta(days=more), info) for more in (0, 1))
        hours = {(to_micros(row.timestamp) - begin) // HOUR for row in members if row.timestamp is not None}
        found.append(
            {
                "day": day,
                "measurement_type": measured,
                "component_type": kind,
                "avg_value": pytest.approx(mean, rel=1e-9, abs=1e-12 * max(map(abs, values))),
                "count": len(values),
                "min_value": min(values),
                "max_value": max(values),
                "stddev": pytest.approx(
                    math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)),
                    rel=1e-9,
                    abs=1e-9 * (max(values) - min(values)),
                ),
                "coverage": len(hours) / -(-(finish - begin) // HOUR),
            }
        )
    return found


def midnight(day: date, zone: ZoneInfo) -> int:
    return to_micros(datetime(day.year, day.month, day.day, tzinfo=zone))


def test_equal_readings_deviate_by_nothing(engine: sa.Engine) -> None:
    with lines(engine, 1) as (tx, made):
        rows = [NewReading(made[0], 0.1, "POWER", SPRING + timedelta(minutes=7 * number)) for number in range(150)]
        intake.accept_many(tx, rows, now=NOW)
        for _ in range(2):  # by rollups of components, then by blocks
            averages = build(tx, SPRING, SPRING + timedelta(days=1))["daily_averages"]
            assert [(each["avg_value"], each["stddev"]) for each in averages] == [(0.1, 0.0)]
            while blocks.build_blocks(tx, now=NOW, limit=2):
                pass


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_report_says_what_a_plain_calculation_says(engine: sa.Engine, data: Any) -> None:
    with lines(engine, 1) as (tx, made):
        made.append(components.add(tx, check({**TRANSFORMER, "name": "T"}), by="test", now=NOW).id)
        kinds = {made[0]: "LINE", made[1]: "TRANSFORMER"}
        moment = st.integers(0, 4 * 86_400).map(lambda seconds: SPRING + timedelta(seconds=seconds))
        row = st.builds(
            NewReading,
            st.sampled_from(made),
            st.floats(-1e9, 1e9),
            st.sampled_from(["POWER", "VOLTAGE"]),
            st.one_of(moment, moment.map(lambda at: at.replace(minute=at.minute // 15 * 15, second=0))),
        )
        drawn = data.draw(st.lists(row, max_size=60))
        rows = list({(each.component_id, each.measurement_type, each.timestamp): each for each in drawn}.values())
        middle = data.draw(st.integers(0, len(rows)))
        intake.accept_many(tx, rows[:middle], now=NOW)
        for each in rows[middle:]:
            intake.accept(tx, each, now=NOW)
        if data.draw(st.booleans()):
            folding.fold_tail(tx, now=NOW + 10**15, size=20)
        if data.draw(st.booleans()):
            components.replace(tx, made[0], check({**SWITCH}), by="test", now=NOW)
            kinds[made[0]] = "SWITCH"
        if data.draw(st.booleans()):
            blocks.build_blocks(tx, now=NOW + 10**15, limit=data.draw(st.integers(1, 5)))
        zone = data.draw(st.sampled_from(ZONES))
        cuts = sorted(data.draw(st.lists(moment, min_size=2, max_size=4, unique=True)))
        for start, end in pairwise(cuts):
            assert build(tx, start, end, zone)["daily_averages"] == expected(rows, kinds, start, end, zone)
        parts = [build(tx, start, end, zone)["daily_averages"] for start, end in pairwise(cuts)]
        whole = build(tx, cuts[0], cuts[-1], zone)["daily_averages"]
        assert sum(each["count"] for each in whole) == sum(each["count"] for part in parts for each in part)


def hourly(component: int, start: datetime, hours: int) -> list[NewReading]:
    return [NewReading(component, 1.0, "POWER", start + timedelta(hours=hour)) for hour in range(hours)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"), [("Europe/Berlin", "2026-03-29", 23), ("Europe/Berlin", "2026-10-25", 25)]
)
def test_days_on_which_clocks_change_have_their_own_length(engine: sa.Engine, zone: str, day: str, hours: int) -> None:
    with lines(engine, 1) as (tx, (number,)):
        start = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=2)
        intake.accept_many(tx, hourly(number, start, 96), now=NOW)
        (found,) = [
            each for each in build(tx, start, start + timedelta(days=4), zone)["daily_averages"] if each["day"] == day
        ]
        assert (found["count"], found["coverage"]) == (hours, 1.0)


def test_key_figures_count_components_without_readings(engine: sa.Engine) -> None:
    with lines(engine, 2) as (tx, _):
        for name, level in (("A", 132), ("B", 132.0), ("C", 20)):
            new = check({**TRANSFORMER, "name": name, "voltage_kv": level})
            components.add(tx, new, by="test", now=NOW)
        found = build(tx, SPRING, SPRING + timedelta(days=1))
        assert found["daily_averages"] == []
        assert found["summary"] == {
            "components_by_type": [
                {"component_type": "LINE", "count": 2},
                {"component_type": "TRANSFORMER", "count": 3},
            ],
            "transformer_capacity_by_voltage": [
                {"voltage_kv": 20.0, "total_capacity_mva": 40.0},
                {"voltage_kv": 132.0, "total_capacity_mva": 80.0},
            ],
            "line_length_by_voltage": [{"voltage_kv": 110.0, "total_length_km": 20.0}],
        }
        assert found["provenance"]["readings"] == 0


def test_a_report_of_nothing_at_all_is_empty(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        found = build(tx, SPRING, SPRING + timedelta(days=3), "Europe/Berlin")
    assert (found["daily_averages"], found["summary"]["components_by_type"]) == ([], [])


def test_large_means_keep_their_deviation_and_zero_is_zero(engine: sa.Engine) -> None:
    with lines(engine, 1) as (tx, (number,)):
        start = to_datetime(to_micros(SPRING))
        values = [1e9 + (-1, 0, 1)[place % 3] for place in range(3_000)]
        rows = [NewReading(number, value, "POWER", start + timedelta(seconds=9 * n)) for n, value in enumerate(values)]
        rows += [NewReading(number, value, "CURRENT", start + timedelta(seconds=n)) for n, value in enumerate((-5, 5))]
        intake.accept_many(tx, rows, now=NOW)
        current, power = build(tx, start, start + timedelta(days=1), "Europe/Berlin")["daily_averages"]
        assert power["stddev"] == pytest.approx(math.sqrt(2 / 3), rel=1e-9)
        assert (current["avg_value"], current["min_value"], current["stddev"]) == (0.0, -5.0, 5.0)


def test_the_data_version_stays_while_the_data_does(engine: sa.Engine) -> None:
    with lines(engine, 3) as (tx, made):
        dice, start = random.Random(5), to_datetime(to_micros(SPRING))
        rows: list[NewReading | str] = [
            NewReading(number, dice.gauss(54.3, 7), "POWER", start + timedelta(minutes=n))
            for n in range(4_000)
            for number in made
        ]
        intake.accept_many(tx, rows, now=NOW)
        first = build(tx, start, start + timedelta(days=3))
        while blocks.build_blocks(tx, now=2**60, limit=100):
            pass
        second = build(tx, start, start + timedelta(days=3))
        assert second["provenance"]["data_version"] == first["provenance"]["data_version"]


def test_deleted_components_are_gone_and_progress_is_told(engine: sa.Engine) -> None:
    with lines(engine, 2) as (tx, made):
        for number in made:
            intake.accept_many(tx, hourly(number, SPRING, 48), now=NOW)
        intake.accept(tx, NewReading(made[1], 1.0, "POWER", SPRING + timedelta(minutes=1)), now=NOW)
        start, end = to_micros(SPRING), to_micros(SPRING + timedelta(days=2))
        told: list[float] = []
        first = report.build(tx, start, end, ZoneInfo("UTC"), progress=told.append)
        assert max(told) == 1.0
        assert first["provenance"]["readings"] == 97
        components.delete(tx, made[1], by="test", now=NOW)
        second = build(tx, SPRING, SPRING + timedelta(days=2))
        assert second["provenance"]["readings"] == chunk_store.count_readings(tx) == 48
        assert second["provenance"]["data_version"] != first["provenance"]["data_version"]
        assert components.add(tx, check({**LINE, "name": "again"}), by="test", now=NOW).id > made[1]
