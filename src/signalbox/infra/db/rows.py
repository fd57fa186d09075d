"""Many rows as one bound value: a JSON array of arrays that the database takes apart.

One statement does for any number of rows, is prepared once, and takes the interpreter's lock once; row by row beside a
busy event loop each hand-over of the lock may wait for the switch interval.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Select,
    Subquery,
    TableValuedAlias,
    any_,
    bindparam,
    cast,
    column,
    func,
    select,
    tuple_,
)
from sqlalchemy.types import Text, TypeEngine

from signalbox.infra.db import Dialect

DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql")

_ENCODER = msgspec.json.Encoder()


def encode_rows(rows: Sequence[Sequence[Any]]) -> str:
    """The value to bind; texts must hold no NUL and no half of a surrogate pair, which PostgreSQL refuses."""
    return _ENCODER.encode(rows).decode()


def bound_rows(dialect: Dialect, parameter: str, columns: Mapping[str, TypeEngine[Any]], name: str) -> Subquery:
    """The rows of the bound ``parameter`` as something to select from, in the order of ``columns``."""
    if dialect == "sqlite":
        each = func.json_each(bindparam(parameter)).table_valued("value")
        cells = [
            func.json_extract(each.c.value, f"$[{position}]", type_=kind).label(cell)
            for position, (cell, kind) in enumerate(columns.items())
        ]
        return select(*cells).select_from(each).subquery(name)
    row = func.json_array_elements(cast(bindparam(parameter, type_=Text), JSON)).column_valued("row")
    cells = [cast(row.op("->>")(position), kind).label(cell) for position, (cell, kind) in enumerate(columns.items())]
    return select(*cells).subquery(name)


def encode_columns(name: str, columns: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """The values to bind for ``bound_columns`` of the same name, by parameter."""
    return {f"{name}_{cell}": f"{{{encode_ids(numbers)[1:-1]}}}" for cell, numbers in columns.items()}


def bound_columns(columns: Mapping[str, TypeEngine[Any]], name: str) -> TableValuedAlias:
    """Columns of whole numbers, each a bound parameter ``NAME_COLUMN``, as something to select from; on PostgreSQL.

    There an array is read several times as fast as JSON.
    """
    arrays = [cast(bindparam(f"{name}_{each}", type_=Text), ARRAY(kind)) for each, kind in columns.items()]
    cells = [column(each, kind) for each, kind in columns.items()]
    return func.unnest(*arrays).table_valued(*cells, name=name).render_derived()


def encode_ids(ids: Sequence[int]) -> str:
    """The value to bind for ``bound_ids`` and ``is_bound_id``."""
    return _ENCODER.encode(ids).decode()


def bound_ids(dialect: Dialect, parameter: str) -> Select[tuple[int]]:
    """The ids of the bound ``parameter``."""
    if dialect == "sqlite":
        return select(func.json_each(bindparam(parameter)).table_valued("value").c.value)
    each = func.json_array_elements_text(cast(bindparam(parameter, type_=Text), JSON)).column_valued("each")
    return select(cast(each, BigInteger))


def is_bound_id(dialect: Dialect, column: ColumnElement[int], parameter: str) -> ColumnElement[bool]:
    """Whether a column is one of the ids of the bound ``parameter``; to be found by the column's index.

    PostgreSQL cannot know how few they are, and may read the whole table for them; an array it looks up.
    """
    chosen = bound_ids(dialect, parameter)
    return column.in_(chosen) if dialect == "sqlite" else column == any_(func.array(chosen.scalar_subquery()))


def is_bound_row(dialect: Dialect, columns: Sequence[Column[Any]], parameter: str) -> ColumnElement[bool]:
    """Whether ``columns`` are one of the rows of the bound ``parameter``; to be found by a key that begins with them.

    A list of rows written out, as VALUES, SQLite would not look up: it reads the whole table instead.
    """
    rows = bound_rows(dialect, parameter, {each.name: each.type for each in columns}, "wanted")
    return tuple_(*columns).in_(select(*rows.c))
