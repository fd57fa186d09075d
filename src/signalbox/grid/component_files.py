"""Components in bulk: CSV and JSON, in and out."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from signalbox.core.errors import InvalidError
from signalbox.core.pagination import MAX_LIMIT
from signalbox.grid import components
from signalbox.grid.errors import BatchTooLongError
from signalbox.grid.schemas import ImportedRow
from signalbox.infra.context import Context
from signalbox.infra.db import Database

MOST_ROWS: Final = 100_000
STEP: Final = 200
"""Rows in one transaction."""


async def read_all(db: Database) -> list[dict[str, Any]]:
    """All components as an import takes them, lowest id first."""
    rows: list[dict[str, Any]] = []
    before: int | None = None
    while part := await db.read(components.export, before=before, limit=MAX_LIMIT):
        rows += part
        before = part[-1]["id"]
    return rows[::-1]


async def import_all(
    context: Context, rows: list[dict[str, Any]], *, by: str, request_id: str | None = None
) -> list[ImportedRow]:
    """Import rows, a short transaction after the other."""
    results: list[ImportedRow] = []
    for start in range(0, len(rows), STEP):
        some, now = rows[start : start + STEP], context.clock.now()
        results += await context.db.write(
            components.import_rows, some, first=start + 1, by=by, now=now, request_id=request_id
        )
    return results


def parse_rows(content: bytes, *, is_csv: bool) -> list[dict[str, Any]]:
    """The rows of a CSV text with a line of names, or of a JSON array of objects.

    Raises:
        InvalidError: it is neither.
        BatchTooLongError: there are more than 100,000.
    """
    try:
        text = content.decode("utf-8-sig")
        rows = list(_read_csv(text)) if is_csv else json.loads(text)
    except (ValueError, RecursionError, csv.Error) as error:
        msg = f"the components cannot be read: {error}"
        raise InvalidError(msg) from None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        msg = "the components are a JSON array of objects, or CSV with a line of names"
        raise InvalidError(msg)
    if len(rows) > MOST_ROWS:
        msg = f"there are {len(rows)} rows; {MOST_ROWS} are allowed at once"
        raise BatchTooLongError(msg)
    return rows


def _read_csv(text: str) -> Iterator[dict[str, Any]]:
    """The lines of a CSV text by the names in its first; one with more or fewer cells than names is an error."""
    reader = csv.reader(io.StringIO(text), strict=True)
    names = next(reader, [])
    for cells in reader:
        if len(cells) != len(names):
            msg = f"line {reader.line_num} has {len(cells)} cells, the first line has {len(names)} names"
            raise csv.Error(msg)
        yield dict(zip(names, cells, strict=True))


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV, with every name that any of them has."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["component_type", "name", "substation"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
