"""What a page about the grid shows."""

import pytest
import sqlalchemy as sa

from signalbox.grid import components, intake, overview
from signalbox.grid.errors import ComponentNotFoundError
from signalbox.grid.kinds import check
from tests.grid.test_intake import NOW, lines, reading
from tests.grid.test_rule_store import ABOVE, add
from tests.grid.test_rule_watch import measure

SWITCH = {"component_type": "SWITCH", "name": "A", "substation": "East", "status": "OPEN"}


def test_substations_have_their_components_and_who_is_raised(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        switch = components.add(tx, check(SWITCH), by="test", now=NOW).id
        add(tx, ABOVE)
        measure(tx, made[1], 60)
        (north, east), left_out = overview.list_substations(tx)
        assert (east.name, [each.id for each in east.components], east.raised) == ("East", [switch], set())
        assert (north.name, [each.name for each in north.components], north.raised) == (
            "North",
            ["L0", "L1"],
            {made[1]},
        )
        assert left_out == 0


def test_substations_that_find_no_room_are_counted_and_raised_ones_come_first(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        components.add(tx, check(SWITCH), by="test", now=NOW)
        calm = overview.list_substations(tx, limit=1)
        assert ([each.name for each in calm.shown], calm.left_out) == (["East"], 2)
        add(tx, ABOVE)
        measure(tx, made[1], 60)
        raised = overview.list_substations(tx, limit=2)
        assert ([each.name for each in raised.shown], raised.left_out) == (["North"], 1)
        assert overview.list_substations(tx, limit=3).left_out == 0


def test_a_component_is_shown_with_its_newest_readings_and_crossings(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        rule = add(tx, ABOVE)
        measure(tx, made[0], 40, 60)
        intake.accept(tx, reading(made[0], 3, 110.0, "VOLTAGE"), now=NOW)
        shown = overview.show_component(tx, made[0])
        assert shown.component.name == "L0"
        assert [(each.measurement_type, each.value) for each in shown.newest] == [("VOLTAGE", 110), ("POWER", 60)]
        assert [(each.rule_id, each.value) for each in shown.crossings] == [(rule, 60)]
        other = overview.show_component(tx, made[1])
        assert (other.newest, other.crossings) == ([], [])
        with pytest.raises(ComponentNotFoundError):
            overview.show_component(tx, 99)
