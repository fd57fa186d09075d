from typing import Any

import sqlalchemy as sa

from signalbox.infra.db import Database
from signalbox.infra.jobs.rows import DIALECTS, bound_rows, encode_rows

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
