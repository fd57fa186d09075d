import pytest

from signalbox.auth.audit import AuditFilter, record
from signalbox.core.pagination import InvalidCursorError
from signalbox.infra.db import Database
from signalbox.ops.service import list_audit


async def test_pages_cover_everything_once(database: Database) -> None:
    for number in range(1, 8):
        await database.write(
            record, actor="a", action="b", target="c", before=None, after=None, at=number, request_id=None
        )
    seen, cursor = [], None
    while True:
        page = await database.read(list_audit, wanted=AuditFilter(), limit=3, cursor=cursor)
        seen += [entry.id for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        await database.write(record, actor="a", action="b", target="c", before=None, after=None, at=99, request_id=None)
    assert seen == [7, 6, 5, 4, 3, 2, 1], "new entries do not shift the pages"


async def test_a_foreign_cursor_is_refused(database: Database) -> None:
    with pytest.raises(InvalidCursorError):
        await database.read(list_audit, wanted=AuditFilter(), limit=3, cursor="x")
