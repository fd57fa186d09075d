"""What can be done with components; more of it over HTTP."""

import pytest
import sqlalchemy as sa

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.core.errors import UnprocessableError
from signalbox.grid import chunk_store, components, intake
from signalbox.grid.errors import ComponentExistsError, ComponentNotFoundError
from signalbox.grid.kinds import check
from signalbox.grid.store import ComponentFilter
from tests.grid.conftest import LINE
from tests.grid.test_intake import NOW, lines, reading

SWITCH = {"component_type": "SWITCH", "name": "L0", "substation": "North", "status": "OPEN"}


def test_another_kind_clears_the_old_fields_and_keeps_readings(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        intake.accept(tx, reading(made[0], 0), now=NOW)
        after = components.replace(tx, made[0], check(SWITCH), by="user:anna", now=NOW + 1).model_dump(mode="json")
        assert ("length_km" in after, after["status"], after["updated_at"]) == (
            False,
            "OPEN",
            "2026-01-01T00:00:00.000001Z",
        )
        assert chunk_store.count_readings(tx) == 1
        (entry, *_) = list_entries(tx, wanted=AuditFilter(actor="user:anna"), limit=5)
        assert entry.before is not None
        assert (entry.action, entry.before["length_km"]) == ("component.change", 10)
        with pytest.raises(UnprocessableError):
            components.change(tx, made[0], {"component_type": "LINE"}, by="test", now=NOW)
        with pytest.raises(ComponentExistsError):
            components.add(tx, check(SWITCH), by="test", now=NOW)


def test_a_deleted_component_takes_its_readings_along(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        intake.accept_many(tx, [reading(number, minute) for number in made for minute in range(3)], now=NOW)
        intake.accept(tx, reading(made[0], 9), now=NOW)
        components.delete(tx, made[0], by="test", now=NOW)
        assert chunk_store.count_readings(tx) == 3
        for use in (components.show, lambda tx, number: components.delete(tx, number, by="test", now=NOW)):
            with pytest.raises(ComponentNotFoundError):
                use(tx, made[0])


def test_imports_change_what_differs_and_no_more(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        rows = components.export(tx, limit=10)
        assert {each.status for each in components.import_rows(tx, rows, by="test", now=NOW)} == {"unchanged"}
        wrong = [{**LINE, "id": "x"}, {**LINE, "id": made[0], "name": "L1"}, {**LINE, "id": 0}, {}]
        results = components.import_rows(tx, [*wrong, {**LINE, "id": "9", "name": "new"}], first=11, by="test", now=NOW)
        assert [each.status for each in results] == [*["rejected"] * 4, "created"]
        assert (results[0].row, results[4].id) == (11, 9)
        page = components.list_components(tx, ComponentFilter(name="new"), limit=1)
        assert (page.items[0].id, page.next_cursor) == (9, None)
