"""A line."""

from typing import Literal

from signalbox.grid.schemas import ComponentIn, Name, Positive


class Line(ComponentIn):
    """A line, from one substation to another where they are known."""

    component_type: Literal["LINE"]
    length_km: Positive
    voltage_kv: Positive
    from_substation: Name | None = None
    to_substation: Name | None = None
