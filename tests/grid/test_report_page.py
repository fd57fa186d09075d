"""A report as a page."""

import re
from dataclasses import replace
from typing import Any

from signalbox.grid.report_page import to_page
from tests.grid.test_plots import row
from tests.grid.test_report_files import EMPTY, NOON, PROVENANCE, report

DAYS = [
    {**row("2026-01-01", kind, mean), "measurement_type": of, "count": 1440, "stddev": 0.5, "coverage": 0.5}
    for kind, mean, of in (("LINE", 54.25, "POWER"), ("<SWITCH>", 20.0, "POWER"), ("LINE", 110.0, "VOLTAGE"))
]
RESULT: dict[str, Any] = {
    "summary": {
        "components_by_type": [{"component_type": "LINE", "count": 3}, {"component_type": "SWITCH", "count": 1}],
        "transformer_capacity_by_voltage": [],
        "line_length_by_voltage": [{"voltage_kv": 110.0, "total_length_km": 42.5}],
    },
    "daily_averages": DAYS,
    "provenance": {**PROVENANCE, "readings": 4320, "data_version": "9f2c", "duration_ms": 1234},
}


def page(result: dict[str, Any], **more: Any) -> str:
    return to_page(replace(report(result), **more), result)


def test_it_shows_figures_plots_days_and_how_it_was_made() -> None:
    made = page(RESULT, ended_at=NOON, name="January", timezone="Europe/Berlin", created_by="user:anna")
    assert "<title>January</title>" in made
    assert "2026-01-01 13:00 to 2026-01-01 13:00, Europe/Berlin" in made, "in the report's own zone"
    assert re.findall(r"<dd>([0-9,.%]+)</dd>", made)[:4] == ["4", "4,320", "1", "50.0%"]
    assert re.findall("<h2>(.*?)</h2>", made) == [
        "Components",
        "Line length",
        "Power, by day",
        "Voltage, by day",
        "How it was made",
    ]
    assert made.count('role="img"') == 4
    assert ("42.5 km" in made, "54.25" in made, "1,440" in made) == (True, True, True)
    for said in ("ordered by user:anna", "9f2c", "12:00 UTC in 1,234 ms"):
        assert said in made


def test_it_needs_nothing_besides_itself_and_escapes_what_others_wrote() -> None:
    made = page(RESULT, name="<script>alert(1)</script>", created_by="app:<b>")
    assert ("<script" in made, "<b>" in made, "<switch>" in made.lower()) == (False, False, False)
    assert re.findall(r"(?:href|src|url|@import)\b", made) == []
    assert made.replace("http://www.w3.org/2000/svg", "").count("http") == 0


def test_it_is_light_or_dark_as_its_reader_likes() -> None:
    assert "prefers-color-scheme:dark" in page(RESULT)


def test_without_readings_it_says_so() -> None:
    made = page(EMPTY)
    assert ("There are no readings in this period" in made, "<svg" in made) == (True, False)
