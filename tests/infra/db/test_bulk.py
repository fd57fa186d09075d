import random
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from signalbox.infra.db import Database
from signalbox.infra.db.bulk import SQLITE_PARAMETERS, insert_rows, upsert_rows
from tests.support.databases import Place

_metadata = sa.MetaData()
sample = sa.Table(
    "sample",
    _metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("order", sa.String, nullable=False),
    sa.Column("number", sa.BigInteger),
    sa.Column("share", sa.Float),
    sa.Column("data", sa.LargeBinary),
)
COLUMNS = ("id", "order", "number", "share", "data")
TEXTS = ("", "plain", "tab\tnewline\nreturn\r", "back\\slash \\N \\.", "ü€😀", "'quote\" %s ? :x {}", "\x7f\x01", " ")

Row = tuple[int, str, int | None, float | None, bytes | None]


@pytest.fixture(autouse=True)
def _table(place: Place) -> Iterator[None]:
    engine = place.engine()
    _metadata.create_all(engine)
    yield
    _metadata.drop_all(engine)
    engine.dispose()


def make_rows(count: int) -> list[Row]:
    """Rows of all kinds of values; those of one number are always the same."""
    return [_make_row(random.Random(number), number) for number in range(count)]


def _make_row(dice: random.Random, number: int) -> Row:
    return (
        number,
        dice.choice(TEXTS),
        dice.choice((None, 0, -1, 2**63 - 1, -(2**63), dice.getrandbits(40))),
        dice.choice((None, 0.0, -1.5, 1e300, dice.random())),
        dice.choice((None, b"", bytes(range(256)), dice.randbytes(20))),
    )


def find_all(tx: sa.Connection) -> list[Any]:
    columns = [sample.c[name] for name in COLUMNS]
    return list(tx.execute(sa.select(*columns).order_by(sample.c.id)))


@pytest.mark.parametrize("count", [0, 1, 2, SQLITE_PARAMETERS // 5, SQLITE_PARAMETERS // 5 + 1, 5_000])
async def test_inserted_rows_are_there_as_they_were_given(database: Database, count: int) -> None:
    rows = make_rows(count)
    await database.write(insert_rows, sample, COLUMNS, rows)
    assert await database.read(find_all) == rows


async def test_columns_may_be_some_and_in_any_order(database: Database) -> None:
    await database.write(insert_rows, sample, ("order", "id"), [("b", 2), ("a", 1)])
    assert await database.read(find_all) == [(1, "a", None, None, None), (2, "b", None, None, None)]


async def test_a_row_that_is_refused_undoes_all_of_them(database: Database) -> None:
    rows = make_rows(100)
    with pytest.raises(IntegrityError):
        await database.write(insert_rows, sample, COLUMNS, [*rows, rows[50]])
    assert await database.read(find_all) == []
    await database.write(insert_rows, sample, COLUMNS, rows)
    assert await database.read(find_all) == rows


async def test_a_missing_value_and_a_missing_column_are_errors_of_the_database(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await database.write(insert_rows, sample, ("id", "order"), [(1, None)])
    with pytest.raises(DBAPIError):
        await database.write(insert_rows, sample, ("id", "nowhere"), [(1, "a")])
    assert await database.read(find_all) == []


async def test_other_statements_of_the_transaction_stand_beside_the_bulk(database: Database) -> None:
    def write(tx: sa.Connection) -> int:
        insert_rows(tx, sample, ("id", "order"), [(1, "a"), (2, "b")])
        tx.execute(sample.delete().where(sample.c.id == 1))
        insert_rows(tx, sample, ("id", "order"), [(3, "c")])
        return tx.execute(sa.select(sa.func.count()).select_from(sample)).scalar_one()

    assert await database.write(write) == 2
    assert [row[0] for row in await database.read(find_all)] == [2, 3]


async def test_a_bulk_of_a_failing_function_is_undone(database: Database) -> None:
    def write(tx: sa.Connection) -> None:
        insert_rows(tx, sample, COLUMNS, make_rows(10))
        upsert_rows(tx, sample, keys=("id",), rows=[{"id": 20, "order": "x"}])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(write)
    assert await database.read(find_all) == []


def as_mappings(rows: list[Row]) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


async def test_upserted_rows_are_inserted_where_none_stands(database: Database) -> None:
    rows = make_rows(300)
    await database.write(upsert_rows, sample, keys=("id",), rows=as_mappings(rows))
    assert await database.read(find_all) == rows


async def test_upserted_rows_replace_those_that_stand_and_no_others(database: Database) -> None:
    old, other = make_rows(100), make_rows(200)[100:]
    new = [(number, *row[1:]) for number, row in zip(range(50, 150), other, strict=True)]
    await database.write(insert_rows, sample, COLUMNS, old)
    for _ in range(2):
        await database.write(upsert_rows, sample, keys=("id",), rows=as_mappings(new))
        assert await database.read(find_all) == [*old[:50], *new]


async def test_columns_that_an_upsert_does_not_name_stay(database: Database) -> None:
    await database.write(insert_rows, sample, COLUMNS, [(1, "a", 2, 3.0, b"4")])
    await database.write(upsert_rows, sample, keys=("id",), rows=[{"id": 1, "order": "b"}])
    assert await database.read(find_all) == [(1, "b", 2, 3.0, b"4")]


async def test_no_rows_are_no_statement(database: Database) -> None:
    await database.write(insert_rows, sample, ("nowhere",), [])
    await database.write(upsert_rows, sample, keys=("nowhere",), rows=[])


async def test_of_rows_with_one_key_the_last_stays(database: Database) -> None:
    rows = [{"id": 1, "order": name} for name in "abc"]
    await database.write(upsert_rows, sample, keys=("id",), rows=rows)
    assert await database.read(find_all) == [(1, "c", None, None, None)]
