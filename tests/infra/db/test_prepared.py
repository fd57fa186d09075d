import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from signalbox.infra.db import Database
from signalbox.infra.db.prepared import Prepared
from tests.support.databases import Place

_metadata = sa.MetaData()
sample = sa.Table(
    "prepared_sample",
    _metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("data", sa.LargeBinary),
    sa.Column("free", sa.JSON),
)
INSERT = Prepared(sa.insert(sample).values(id=sa.bindparam("id"), text=sa.bindparam("text"), data=sa.bindparam("data")))
RETURNING = Prepared(sa.insert(sample).values(text=sa.bindparam("text"), id=sa.bindparam("id")).returning(sample.c.id))
FIND = Prepared(sa.select(sample.c.text, sample.c.data).where(sample.c.id >= sa.bindparam("least")).order_by("id"))
TEXT = "'quote\" %s ? :x {} ü€😀"


@pytest.fixture(autouse=True)
def _table(place: Place) -> Iterator[None]:
    engine = place.engine()
    _metadata.create_all(engine)
    yield
    _metadata.drop_all(engine)
    engine.dispose()


def fill(tx: sa.Connection, *numbers: int) -> None:
    for number in numbers:
        assert not INSERT.run(tx, {"id": number, "text": TEXT, "data": b"\0\xff"})


async def test_values_and_rows_pass_as_they_are(database: Database) -> None:
    await database.write(fill, 1, 2)
    found = await database.read(FIND.run, {"least": 2})
    assert [(text, bytes(data)) for text, data in found] == [(TEXT, b"\0\xff")]
    assert list(await database.read(FIND.run, {"least": 3})) == []
    made = await database.write(RETURNING.run, {"id": 2**63 - 1, "text": "", "unused": "x"})
    assert [tuple(row) for row in made] == [(2**63 - 1,)]


async def test_what_the_database_refuses_is_raised_as_by_other_statements(database: Database) -> None:
    await database.write(fill, 1)
    with pytest.raises(IntegrityError) as caught:
        await database.write(fill, 2, 1)
    assert caught.value.orig is not None
    assert len(await database.read(FIND.run, {"least": 0})) == 1  # the other went with it


async def test_it_belongs_to_the_transaction(database: Database) -> None:
    def fail(tx: sa.Connection) -> None:
        fill(tx, 1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fail)
    assert list(await database.read(FIND.run, {"least": 0})) == []


async def test_a_read_sees_one_snapshot(place: Place) -> None:
    database, other = place.open(), place.engine()

    def look_twice(tx: sa.Connection) -> list[int]:
        before = len(FIND.run(tx, {"least": 0}))
        with other.begin() as elsewhere:
            fill(elsewhere, 7)
        return [before, len(FIND.run(tx, {"least": 0}))]

    try:
        assert await database.read(look_twice) == [0, 0]
        assert len(await database.read(FIND.run, {"least": 0})) == 1
    finally:
        await database.close()
        other.dispose()


async def test_a_value_too_large_for_the_database_is_the_callers_mistake(place: Place) -> None:
    database = place.open()
    try:
        with pytest.raises((OverflowError, sa.exc.DBAPIError)):
            await database.write(fill, 2**63)
    finally:
        await database.close()


def test_columns_whose_values_would_be_converted_are_refused() -> None:
    with pytest.raises(TypeError, match="free"):
        Prepared(sa.insert(sample).values(id=1, free=sa.bindparam("free")))


def test_each_dialect_may_have_its_own(tmp_path: Any) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/own.db")
    own = Prepared({"sqlite": sa.select(sa.literal("s").label("x")), "postgresql": sa.select(sa.literal("p"))})
    with engine.connect() as tx:
        assert list(own.run(tx, {})) == [("s",)]
    engine.dispose()
    assert sqlite3.sqlite_version_info >= (3, 35)  # RETURNING
