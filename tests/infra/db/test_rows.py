from typing import Any

import sqlalchemy as sa

from signalbox.infra.db import Database
from signalbox.infra.db.rows import DIALECTS, bound_ids, bound_rows, encode_ids, encode_rows, is_bound_id, is_bound_row

COLUMNS: dict[str, Any] = {"id": sa.BigInteger(), "name": sa.Text(), "count": sa.Integer()}
QUERIES: dict[str, sa.Select[Any]] = {
    dialect: sa.select(*bound_rows(dialect, "rows", COLUMNS, "given").c).order_by("count") for dialect in DIALECTS
}


async def read(database: Database, rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    def run(tx: sa.Connection) -> list[tuple[object, ...]]:
        return [tuple(row) for row in tx.execute(QUERIES[database.dialect], {"rows": encode_rows(rows)})]

    return await database.read(run)


async def test_rows_come_back_as_they_were(database: Database) -> None:
    rows: list[tuple[object, ...]] = [
        (2**62, "é'\"\\\n", 0),
        (-1, None, 1),
        (None, "", 2),
        (3, '["a", {"b": "\\u0000"}]', 3),
    ]
    assert await read(database, rows) == rows


async def test_none_and_thousands(database: Database) -> None:
    assert await read(database, []) == []
    many: list[tuple[object, ...]] = [(number, str(number), number) for number in range(5_000)]
    assert await read(database, many) == many


async def test_ids_come_back_and_find_their_rows(database: Database) -> None:
    ids = [2**62, 1, 5]
    wanted = {"ids": encode_ids(ids)}
    given = sa.union_all(*(sa.select(sa.literal(number).label("id")) for number in (1, 2, 5))).subquery()
    found = sa.select(given.c.id).where(is_bound_id(database.dialect, given.c.id, "ids")).order_by(given.c.id)
    every = bound_ids(database.dialect, "ids")

    def read_ids(tx: sa.Connection, query: sa.Select[Any], values: dict[str, str]) -> list[Any]:
        return list(tx.execute(query, values).scalars())

    assert await database.read(read_ids, every, wanted) == ids
    assert await database.read(read_ids, found, wanted) == [1, 5]
    assert await database.read(read_ids, found, {"ids": encode_ids([])}) == []


async def test_rows_of_a_table_are_found_by_their_key(database: Database) -> None:
    table = sa.Table(
        "event_source",
        sa.MetaData(),
        sa.Column("series", sa.BigInteger, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),
    )
    wanted = sa.select(table).where(is_bound_row(database.dialect, (table.c.series, table.c.day), "rows"))

    def find(tx: sa.Connection) -> tuple[list[tuple[object, ...]], str]:
        table.create(tx)
        tx.execute(table.insert(), [{"series": 2**40 + one, "day": two} for one in range(9) for two in range(9)])
        rows = [(2**40 + 3, 4), (2**40 + 4, 3), (2**40 + 4, 3), (1, 1)]
        found = sorted(tuple(row) for row in tx.execute(wanted, {"rows": encode_rows(rows)}))
        told, text = "", str(wanted.compile(tx))
        if tx.dialect.name == "sqlite":  # PostgreSQL reads a table of 81 rows as a whole
            told = str(tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (0,) * text.count("?")).all())
        table.drop(tx)
        return found, told

    found, plan = await database.write(find)
    assert found == [(2**40 + 3, 4), (2**40 + 4, 3)]
    assert database.dialect == "postgresql" or "SEARCH event_source" in plan
