"""Kinds of components."""

from typing import Any

import pytest

from signalbox.core.errors import UnprocessableError
from signalbox.grid.kinds import check, kinds
from signalbox.grid.kinds.line import Line

COMMON = {"name": "A", "substation": "North"}
GOOD: list[dict[str, Any]] = [
    {"component_type": "TRANSFORMER", "capacity_mva": 40, "voltage_kv": 110, "secondary_kv": 20, "tap": -3},
    {"component_type": "LINE", "length_km": "2.5", "voltage_kv": "110", "from_substation": "North"},
    {"component_type": "SWITCH", "status": "OPEN"},
]


def test_a_module_is_a_kind() -> None:
    assert list(kinds()) == ["LINE", "SWITCH", "TRANSFORMER"]
    assert kinds()["LINE"] is Line
    assert [check({**COMMON, **each}).component_type for each in GOOD] == [each["component_type"] for each in GOOD]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"length_km": 0}, "length_km"),
        ({"length_km": float("inf")}, "length_km"),
        ({"tap": 1}, "tap"),
        ({"component_type": "POLE"}, "component_type"),
        ({"component_type": None}, "component_type"),
        ({"name": "   "}, "name"),
        ({"name": "a\0"}, "name"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(UnprocessableError) as caught:
        check({**COMMON, **GOOD[1], **change})
    assert [fault.where for fault in caught.value.faults] == [field]
