"""A switch."""

from typing import Literal

from signalbox.grid.schemas import ComponentIn


class Switch(ComponentIn):
    """A switch, open or closed."""

    component_type: Literal["SWITCH"]
    status: Literal["OPEN", "CLOSED"]
