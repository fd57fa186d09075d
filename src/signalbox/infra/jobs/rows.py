"""Many rows as one bound value: a JSON array of arrays that the database takes apart.

One statement does for any number of rows, is prepared once, and takes the interpreter's lock once; row by row beside a
busy event loop each hand-over of the lock may wait for the switch interval.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import JSON, Subquery, bindparam, cast, func, select
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
            func.json_extract(each.c.value, f"$[{position}]", type_=kind).label(column)
            for position, (column, kind) in enumerate(columns.items())
        ]
        return select(*cells).select_from(each).subquery(name)
    row = func.json_array_elements(cast(bindparam(parameter, type_=Text), JSON)).column_valued("row")
    cells = [
        cast(row.op("->>")(position), kind).label(column) for position, (column, kind) in enumerate(columns.items())
    ]
    return select(*cells).subquery(name)
