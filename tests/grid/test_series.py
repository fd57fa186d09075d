"""Numbers of series."""

from signalbox.grid.series import LARGEST_ID, MEASUREMENT_TYPES, component_of, to_series, type_of


def test_a_series_is_a_component_and_a_type() -> None:
    for number in (1, 7, LARGEST_ID):
        for kind in MEASUREMENT_TYPES:
            series = to_series(number, kind)
            assert (component_of(series), type_of(series)) == (number, kind)
            assert series < 2**63


def test_places_of_types_are_stored_and_stay() -> None:
    assert MEASUREMENT_TYPES[:3] == ("VOLTAGE", "CURRENT", "POWER")
