"""What can be done with components; more of it over HTTP."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.core.errors import UnprocessableError
from signalbox.grid import chunk_store, components, intake
from signalbox.grid.errors import ComponentExistsError, ComponentNotFoundError
from signalbox.grid.kinds import check
from signalbox.grid.store import ComponentFilter
from signalbox.infra.db.postgresql import postgresql_engine
from tests.grid.conftest import LINE
from tests.grid.test_intake import NOW, lines, reading
from tests.support.databases import PostgresqlPlace
from tests.support.timing import PATIENCE

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


def become_switch(tx: sa.Connection, number: int) -> None:
    components.replace(tx, number, check(SWITCH), by="test", now=NOW)


def rename(tx: sa.Connection, number: int) -> None:
    components.change(tx, number, {"name": "L9"}, by="test", now=NOW)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
@pytest.mark.parametrize("work", [become_switch, rename])
def test_a_change_and_a_deletion_at_once_take_their_locks_in_the_same_order(
    place: PostgresqlPlace, work: Callable[[sa.Connection, int], None]
) -> None:
    engine = postgresql_engine(place.url, pool_size=3)
    with engine.begin() as tx:
        number = components.add(tx, check(LINE), by="test", now=NOW).id

    def change() -> None:
        with engine.begin() as tx:
            work(tx, number)

    with engine.connect() as tx, ThreadPoolExecutor(1) as pool:
        chunk_store.own(tx)  # the first step of a deletion
        changed = pool.submit(change)
        until_somebody_waits(engine)
        components.delete(tx, number, by="test", now=NOW)
        tx.commit()
        with pytest.raises(ComponentNotFoundError):
            changed.result()
    engine.dispose()


def until_somebody_waits(engine: sa.Engine) -> None:
    waiting: Any = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
    )
    until = time.monotonic() + PATIENCE
    with engine.connect() as tx:
        while not tx.exec_driver_sql(waiting).scalar_one():
            assert time.monotonic() < until
            tx.rollback()
            time.sleep(0.01)
