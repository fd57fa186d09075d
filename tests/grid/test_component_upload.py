"""Components in files; what becomes of single rows is in ``routes/test_components.py``."""

import json
from typing import Any

from signalbox.grid.component_upload import MAX_IMPORT, PATH
from tests.grid.conftest import LINE, Grid


def padded(rows: list[dict[str, Any]], size: int) -> bytes:
    """Rows as JSON of so many bytes."""
    text = json.dumps(rows)
    return (text[:-1] + " " * (size - len(text)) + "]").encode()


async def test_files_may_be_larger_than_what_other_routes_take(grid: Grid) -> None:
    answer = await grid.call("POST", PATH, raw=padded([LINE, LINE], 2 * 1024**2))
    assert answer.status == 200, answer.body
    assert json.loads(answer.body) == [
        {"row": 1, "status": "created", "id": 1, "reason": None},
        {"row": 2, "status": "unchanged", "id": 1, "reason": None},
    ]
    lines = ",".join(LINE) + "\n" + "\n".join(",".join(map(str, {**LINE, "name": f"L{n}"}.values())) for n in range(9))
    many = (lines + "\n" + "\n".join([lines.rpartition("\n")[2]] * 50)).encode()
    again = await grid.call("POST", PATH, raw=many, Content_Type="text/csv; charset=utf-8")
    assert (again.status, len(json.loads(again.body))) == (200, 59)


async def test_larger_files_are_refused_and_nothing_of_them_is_taken(grid: Grid) -> None:
    answer = await grid.call("POST", PATH, raw=padded([LINE], MAX_IMPORT + 1))
    assert answer.status == 413
    assert await grid.get("/api/components") == []


async def test_only_those_who_may_write_import(grid: Grid) -> None:
    for scope, status in (("grid:read", 403), ("", 401)):
        assert (await grid.call("POST", PATH, [LINE], scope=scope)).status == status
    assert (await grid.call("POST", PATH, [LINE], scope="grid:write")).status == 200
