"""How much may be kept; what is refused over HTTP is tried with rules and schedules."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from signalbox.grid import report_schedules, rules
from signalbox.grid.errors import TooManyKeptError
from signalbox.grid.schemas import ScheduleIn
from signalbox.infra.db.postgresql import postgresql_engine
from tests.grid.test_components import until_somebody_waits
from tests.grid.test_intake import NOW
from tests.grid.test_rule_store import ABOVE
from tests.support.databases import PostgresqlPlace


def add_rule(tx: sa.Connection, name: str) -> None:
    rules.add(tx, ABOVE.model_copy(update={"name": name}), limit=1, by="test", now=NOW)


def add_schedule(tx: sa.Connection, name: str) -> None:
    report_schedules.add(tx, ScheduleIn(name=name, every="day"), limit=1, by="test", now=NOW)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("add", "setting"), [(add_rule, "grid.max_rules"), (add_schedule, "grid.max_schedules")])
def test_who_adds_at_the_same_time_is_counted(place: PostgresqlPlace, add: object, setting: str) -> None:
    assert callable(add)
    engine = postgresql_engine(place.url, pool_size=3)

    def add_another() -> None:
        with engine.begin() as tx:
            add(tx, "second")

    with engine.connect() as tx, ThreadPoolExecutor(1) as pool:
        add(tx, "first")
        second = pool.submit(add_another)
        until_somebody_waits(engine)
        tx.commit()
        with pytest.raises(TooManyKeptError, match=setting):
            second.result()
    engine.dispose()
