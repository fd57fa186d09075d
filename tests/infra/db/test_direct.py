"""Statements past SQLAlchemy do the same as through it."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from signalbox.infra.db import Database
from signalbox.infra.db.direct import Direct

TABLE = sa.Table(
    "direct",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("again", sa.Text),
)
INSERT = (
    sa.insert(TABLE)
    .values(id=sa.bindparam("number"), name=sa.bindparam("name"), again=sa.bindparam("name"))
    .returning(TABLE.c.id, TABLE.c.again)
)
DELETE = sa.delete(TABLE).where(TABLE.c.id == sa.bindparam("wanted")).returning(TABLE.c.name)


def direct(statement: sa.Executable) -> Direct:
    return Direct(sqlite_=statement, postgresql=statement)


async def test_rows_are_written_and_the_first_is_returned(database: Database) -> None:
    insert, delete = direct(INSERT), direct(DELETE)
    await database.write(TABLE.create)
    made = await database.write(insert.first, {"number": 2**40, "name": "é"})
    assert tuple(made or ()) == (2**40, "é")
    assert await database.write(delete.first, {"wanted": 7}) is None
    gone = await database.write(delete.first, {"wanted": 2**40})
    assert tuple(gone or ()) == ("é",)


async def test_errors_are_those_of_sqlalchemy_and_undo_the_transaction(database: Database) -> None:
    insert = direct(INSERT)
    await database.write(TABLE.create)

    def twice(tx: sa.Connection) -> None:
        insert.first(tx, {"number": 1, "name": "a"})
        insert.first(tx, {"number": 1, "name": "b"})

    with pytest.raises(IntegrityError):
        await database.write(twice)
    assert await database.read(lambda tx: tx.execute(sa.select(TABLE)).all()) == []


def test_values_that_would_be_converted_are_refused() -> None:
    with pytest.raises(TypeError, match="when"):
        direct(sa.select(sa.bindparam("when", type_=sa.DateTime)))
