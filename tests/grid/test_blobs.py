"""Reading packed data."""

import pytest
import sqlalchemy as sa

from signalbox.grid.blobs import fetch_blobs
from signalbox.grid.models import block
from tests.grid.test_intake import lines


def test_rows_are_tuples_with_bytes(engine: sa.Engine) -> None:
    with lines(engine, 1) as (tx, _):
        data = bytes(range(256))
        tx.execute(block.insert(), {"day": -3, "block": 2**40, "groups": "ä", "hours": data, "quarters": b""})
        query = sa.select(block).where(block.c.day.in_([-3, 4]))
        assert [tuple(row) for row in fetch_blobs(tx, query)] == [(-3, 2**40, "ä", data, b"")]


def test_an_error_is_one_of_the_database(engine: sa.Engine) -> None:
    with lines(engine, 1) as (tx, _), pytest.raises(sa.exc.DBAPIError):
        fetch_blobs(tx, sa.select(sa.column("nothing")).select_from(block))
