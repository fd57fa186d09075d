"""Lines as SVG."""

import xml.etree.ElementTree as ET

from signalbox.grid.plots import draw


def row(day: str, kind: str, mean: float) -> dict[str, object]:
    return {"day": day, "component_type": kind, "avg_value": mean, "min_value": mean - 1, "max_value": mean + 1}


def test_each_component_type_has_a_line_and_a_band() -> None:
    rows = [row(f"2026-01-{day:02}", kind, float(day)) for day in range(1, 31) for kind in ("LINE", "<&>")]
    drawn = ET.fromstring(draw(rows))
    names = [element.tag.rpartition("}")[2] for element in drawn.iter()]
    assert (names.count("polyline"), names.count("polygon"), names.count("circle")) == (2, 2, 60)
    assert {"LINE", "<&>", "2026-01-01"} <= {element.text for element in drawn.iter()}


def test_a_single_value_is_drawn_too() -> None:
    flat = {**row("2026-01-01", "LINE", 0.0), "min_value": 0.0, "max_value": 0.0}
    assert "nan" not in draw([flat])
    ET.fromstring(draw([flat]))
