"""A series: what one component measures of one type. Its number is made of both, so that it needs no table."""

from typing import Final, Literal, get_args

MeasurementType = Literal["VOLTAGE", "CURRENT", "POWER"]

MEASUREMENT_TYPES: Final[tuple[MeasurementType, ...]] = get_args(MeasurementType)
"""Their places are stored: new ones go to the end."""

WIDTH: Final = 8
"""Numbers that each component has for types."""

LARGEST_ID: Final = 2**53 - 1
"""Ids above are not exact in JavaScript, and would not fit a series."""

CODES: Final = {name: code for code, name in enumerate(MEASUREMENT_TYPES)}


def to_series(component: int, kind: MeasurementType) -> int:
    """The number of a series."""
    return component * WIDTH + CODES[kind]


def component_of(series: int) -> int:
    """Which component measures it."""
    return series // WIDTH


def type_of(series: int) -> MeasurementType:
    """What is measured."""
    return MEASUREMENT_TYPES[series % WIDTH]
