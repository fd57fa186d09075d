"""Plots as SVG."""

import xml.etree.ElementTree as ET

import pytest

from signalbox.grid.plots import COLOURS, DARK, STYLE, draw_bars, draw_days, series_class, spread


def row(day: str, kind: str, mean: float) -> dict[str, object]:
    return {"day": day, "component_type": kind, "avg_value": mean, "min_value": mean - 1, "max_value": mean + 1}


def names(drawn: ET.Element) -> list[str]:
    return [element.tag.rpartition("}")[2] for element in drawn.iter()]


def test_each_component_type_has_a_line_and_a_band() -> None:
    rows = [row(f"2026-01-{day:02}", kind, float(day)) for day in range(1, 31) for kind in ("LINE", "<&>")]
    drawn = ET.fromstring(draw_days(rows, label='Power "&"'))
    assert [names(drawn).count(name) for name in ("polyline", "polygon", "circle")] == [2, 2, 60]
    assert {"2026-01-01", "2026-01-01: 1"} <= {element.text for element in drawn.iter()}
    assert (drawn.get("role"), drawn.get("aria-label")) == ("img", 'Power "&"')
    assert [group.get("class") for group in drawn if group.tag.endswith("g")] == ["s1", "s2"]


def test_days_without_readings_are_gaps() -> None:
    rows = [row(f"2026-01-{day:02}", "LINE", 1.0) for day in (1, 2, 5)]
    drawn = ET.fromstring(draw_days(rows, label="x"))
    lines = [element.get("points", "").split() for element in drawn.iter() if element.tag.endswith("polyline")]
    assert [len(points) for points in lines] == [2, 1]
    first, second, third = (float(point.partition(",")[0]) for points in lines for point in points)
    assert third - second == pytest.approx(3 * (second - first), abs=0.3), "a day is as wide as another"


def test_long_periods_have_no_dots() -> None:
    rows = [row(f"2026-{month:02}-{day:02}", "LINE", 1.0) for month in (1, 2, 3) for day in range(1, 29)]
    assert "circle" not in names(ET.fromstring(draw_days(rows, label="x")))


def test_a_single_value_is_drawn_too() -> None:
    flat = {**row("2026-01-01", "LINE", 0.0), "min_value": 0.0, "max_value": 0.0}
    assert "nan" not in draw_days([flat], label="x")
    ET.fromstring(draw_days([flat], label="x"))


def test_bars_are_as_long_as_their_values() -> None:
    drawn = ET.fromstring(draw_bars([("110 kV", 20.0), ("<&>", 10.0), ("none", 0.0)], unit="MVA", label="Capacity"))
    widths = [float(element.get("width", "")) for element in drawn if element.tag.endswith("rect")]
    assert widths == [2 * widths[1], widths[1], 0]
    assert {"<&>", "20 MVA", "0 MVA"} <= {element.text for element in drawn}
    ET.fromstring(draw_bars([("none", 0.0)], unit="", label="x"))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.5, 1]),
        (37, 44.5, [36, 38, 40, 42, 44, 46]),
        (-3, 9, [-5, 0, 5, 10]),
        (5, 5, [4.5, 5, 5.5]),
        (0, 0, [-1, -0.5, 0, 0.5, 1]),
        (200, 363, [200, 250, 300, 350, 400]),
    ],
)
def test_axes_have_round_values(low: float, high: float, ticks: list[float]) -> None:
    assert spread(low, high) == pytest.approx(ticks)


def test_a_strict_page_may_hold_them() -> None:
    drawn = draw_days([row("2026-01-01", "LINE", 1.0)], label="x") + draw_bars([("a", 1.0)], unit="", label="x")
    assert [word for word in ("style=", "<style", "<script", "onload", "fill=", "stroke=") if word in drawn] == []
    assert [series_class(place) for place in range(COLOURS + 1)] == ["s1", "s2", "s3", "s4", "s5", "s1"]
    assert all(f"--plot-{place + 1}:" in sheet for sheet in (STYLE, DARK) for place in range(COLOURS))
