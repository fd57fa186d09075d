"""A transformer."""

from typing import Literal

from signalbox.grid.schemas import ComponentIn, Positive


class Transformer(ComponentIn):
    """Its ``voltage_kv`` is that of the level it is counted to in reports."""

    component_type: Literal["TRANSFORMER"]
    capacity_mva: Positive
    voltage_kv: Positive
    secondary_kv: Positive | None = None
    tap: int | None = None
