"""What a page about the grid shows: substations with their components, and one component with its lines."""

from typing import NamedTuple

from sqlalchemy import Connection

from signalbox.core.times import to_datetime
from signalbox.grid import components, rule_store, rules
from signalbox.grid.rule_store import ComponentName
from signalbox.grid.schemas import ComponentOut, Crossing, ReadingOut
from signalbox.grid.series import MEASUREMENT_TYPES, MeasurementType, to_series


class Substation(NamedTuple):
    """A substation with what is in it."""

    name: str
    components: list[ComponentName]
    """By type, then name."""
    raised: set[int]
    """Ids of those that are beyond the bound of a rule."""


class Substations(NamedTuple):
    """As many substations as a page takes."""

    shown: list[Substation]
    """Those in which something is raised first, then by name."""
    left_out: int
    """How many components more there are."""


class ComponentView(NamedTuple):
    """A component and how it does."""

    component: ComponentOut
    newest: list[ReadingOut]
    """The newest reading of each type that it measures."""
    crossings: list[Crossing]
    """Bounds that it is beyond, longest first."""


def list_substations(tx: Connection, *, limit: int = 1_000) -> Substations:
    """Substations with at most ``limit`` components altogether."""
    names = rule_store.list_names(tx, limit=limit)
    raised = rule_store.find_raised_among(tx, [each.id for each in names])
    found: dict[str, list[ComponentName]] = {}
    for each in names:
        found.setdefault(each.substation, []).append(each)
    shown = [Substation(name, members, raised & {each.id for each in members}) for name, members in found.items()]
    left_out = 0 if len(names) < limit else rule_store.count_components(tx) - len(names)
    return Substations(shown, left_out)


def show_component(tx: Connection, number: int) -> ComponentView:
    """One component.

    Raises:
        ComponentNotFoundError: there is none with this id.
    """
    shown = components.show(tx, number)
    newest = [_newest(tx, number, kind) for kind in MEASUREMENT_TYPES]
    crossings = rules.list_crossings(tx, component=number, limit=len(MEASUREMENT_TYPES) * 100)
    return ComponentView(shown, [each for each in newest if each is not None], crossings)


def _newest(tx: Connection, number: int, kind: MeasurementType) -> ReadingOut | None:
    series = to_series(number, kind)
    at = rule_store.find_newest(tx, series)
    if at is None:
        return None
    found = rule_store.read_last(tx, series, at, count=1)
    return ReadingOut(number, to_datetime(at), float(found.value[0]), kind)
